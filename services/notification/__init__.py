"""Notification: everyone who should know of a change knows once, by the channel they chose."""
