"""Pictures of cases, and the slice viewer."""
