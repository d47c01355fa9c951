"""Smart tools: each takes a scene, an aim and its knobs, and proposes an edit."""
