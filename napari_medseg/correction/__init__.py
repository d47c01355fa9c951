"""What a person changed, kept safe."""
