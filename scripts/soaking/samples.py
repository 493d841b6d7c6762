"""Memory and file descriptors of processes over time, and the slope of their line."""

from dataclasses import dataclass, field
from pathlib import Path
from statistics import linear_regression, mean


@dataclass
class Samples:
    """Samples of one process."""

    name: str
    seconds: list[float] = field(default_factory=list)
    megabytes: list[float] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)

    def take(self, pid: int, second: float) -> None:
        """Look at the process now."""
        status = Path(f"/proc/{pid}/status").read_text()
        self.seconds.append(second)
        self.megabytes.append(int(status.partition("VmRSS:")[2].split()[0]) / 1024)
        self.descriptors.append(len(list(Path(f"/proc/{pid}/fd").iterdir())))

    def row(self) -> str:
        """Return the line of the report; the slope is that of the last two thirds."""
        begin = len(self.seconds) // 3
        seconds, megabytes = self.seconds[begin:], self.megabytes[begin:]
        slope = linear_regression(seconds, megabytes).slope * 3600 if len(seconds) > 1 else 0.0
        last = self.descriptors[-max(1, len(self.descriptors) // 10) :]
        first = self.descriptors[begin : begin + len(last)] or last
        return (
            f"| {self.name} | {self.megabytes[0]:.0f} | {max(self.megabytes):.0f} | {self.megabytes[-1]:.0f} "
            f"| {slope:+.1f} | {mean(first):.0f} | {mean(last):.0f} |"
        )


HEADINGS = (
    "| process | MB first | MB most | MB last | MB an hour, last 2/3 | files after 1/3 | files last |\n"
    "| --- | --- | --- | --- | --- | --- | --- |"
)
