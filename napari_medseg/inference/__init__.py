"""From a tensor to a mask: tiles, blending, and back to the scan's own grid."""
