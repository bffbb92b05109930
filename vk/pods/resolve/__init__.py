"""From the API object of a pod to what a provider gets."""
