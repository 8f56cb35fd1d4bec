"""The edge adapter: devices over MQTT, and what is known of them."""
