"""Many runs side by side: read from their folders, compared, written as tables and pages. Imports no training."""
