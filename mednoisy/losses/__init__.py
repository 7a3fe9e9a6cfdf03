"""Loss functions of logits and labels; a loss knows no method."""
