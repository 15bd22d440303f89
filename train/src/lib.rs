//! Training and everything around the life of a model.
