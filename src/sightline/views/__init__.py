"""What people see. Views read records and runs; they never import torch or an engine."""
