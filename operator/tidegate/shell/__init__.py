"""The process around the engine: settings, login, kopf's watches, health and metrics."""
