"""The playground: one page on which people try the service with pictures of their own."""
