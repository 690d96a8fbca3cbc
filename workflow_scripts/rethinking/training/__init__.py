"""One network: batches, steps, the loop over epochs, and the files that it leaves."""
