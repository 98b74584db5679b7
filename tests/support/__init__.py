"""What the end-to-end tests share: a server under test, a Tyrant client, real data."""
