"""What Google Cloud is asked for and told: training jobs of Vertex AI, buckets, and what a project lacks for them."""
