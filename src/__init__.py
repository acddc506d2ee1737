"""cifarlab: image-classification experiments that can be trusted. The commands are `src.train`, `src.evaluate`, ..."""
