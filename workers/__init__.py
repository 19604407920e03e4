"""The processes behind the api: dispatcher, jobs worker, inference worker."""
