"""What is longer than ten letters is cut: nobody can undo that."""
from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("UPDATE notes SET text = left(text, 10)")


def downgrade() -> None:
    raise NotImplementedError
