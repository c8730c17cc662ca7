"""What browsers talk to: who may come in, a viewer for each user, and requests on their way to it."""
