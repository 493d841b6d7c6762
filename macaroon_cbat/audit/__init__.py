"""The audit log: events, the logger `macaroon_cbat.audit`, and the file that the operator named.

`write` raises Unavailable for an event that cannot be written, `write_or_log` does not.
"""

from macaroon_cbat.audit.log import bound_refusals as bound_refusals
from macaroon_cbat.audit.log import flush_refusals as flush_refusals
from macaroon_cbat.audit.log import utc as utc
from macaroon_cbat.audit.log import write as write
from macaroon_cbat.audit.log import write_or_log as write_or_log
