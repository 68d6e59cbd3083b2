"""What every route needs: errors, access, queries, limits."""
