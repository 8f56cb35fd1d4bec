"""What every service shares: the published language and the platform it runs on."""
