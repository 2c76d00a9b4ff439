"""Label Studio: label config, predictions, credentials and the calls it makes and answers."""
