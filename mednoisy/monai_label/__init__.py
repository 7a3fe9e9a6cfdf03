"""The annotation server: a MONAI Label app over runs and queries. Nothing else imports monailabel."""
