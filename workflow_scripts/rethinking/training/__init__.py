"""Training one network: batches, steps, the loop over epochs, and the files that it writes."""
