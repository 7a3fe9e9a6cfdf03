"""A bundle for a prepared dataset of one's own: from a fingerprint of its images to a page with a reason a choice."""

from mednoisy.configure.new_bundle import new_bundle

__all__ = ["new_bundle"]
