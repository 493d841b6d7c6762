"""Where audit events are written: the logger `macaroon_cbat.audit`, and the file that the deployer named."""

from macaroon_cbat.journal.recording import bound_refusals as bound_refusals
from macaroon_cbat.journal.recording import flush_refusals as flush_refusals
from macaroon_cbat.journal.recording import note as note
from macaroon_cbat.journal.recording import record as record
from macaroon_cbat.journal.recording import utc as utc
