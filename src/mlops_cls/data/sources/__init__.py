"""One file per data set; each class here is a `mlops_cls.data.source.Source`."""
