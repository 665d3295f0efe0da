"""Brands in small letters. How they were spelt is not kept anywhere: there is no way back. v4.1.0 runs on it too."""
from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("UPDATE router_logs SET brand_id = lower(brand_id)")
    op.execute("UPDATE workflows SET brand_id = lower(brand_id)")


def downgrade() -> None:
    pass
