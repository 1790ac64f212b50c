"""Raw pictures to batches: sources, splits, the prepared store and the DataModules over it."""
