"""The messages and stubs of culld.v1, made by generate.sh."""
