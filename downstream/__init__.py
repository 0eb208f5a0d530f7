"""What small sets are good for: continual learning with Avalanche, architecture search with NNI."""

import os
import warnings

# NNI reads this when it is imported: without it, it would import pytorch_lightning too.
os.environ.setdefault("NNI_FRAMEWORK", "none")
warnings.filterwarnings("ignore", message=".*is found to be not a nn.Module", module="nni")
warnings.filterwarnings("ignore", message="Cannot write to .*Will try to execute", module="nni")
