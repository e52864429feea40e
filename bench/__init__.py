"""What the template is measured with, beside what people would use instead."""
