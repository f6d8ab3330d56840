"""What can go wrong when recurring jobs are set up."""

from bulkport.errors import BulkportError


class InvalidSchedule(BulkportError):
    """The schedule cannot be used: its cron expression or its time zone is wrong."""

    title = "Invalid schedule"


class UnknownRecurringJob(BulkportError):
    """There is no recurring job of this id."""

    title = "Unknown recurring job"


class RecurringJobAlreadyDeclared(BulkportError):
    """A recurring job of this id is declared already."""
