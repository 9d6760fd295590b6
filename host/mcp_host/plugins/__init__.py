"""From the metadata of a distribution to what its hooks contribute, and the bulkhead its calls go through."""
