"""What is asked: the same words in every run, so that runs can be compared."""

from __future__ import annotations

from dataclasses import dataclass

# Asks for more than is taken, so that the answer has the length that it is cut at.
_TASK = "Write the numbers from one to five hundred as words, one after another, and nothing else."
_STORY = """\
The harbour of the old town opens to the north, and in winter the wind drives the water over the stones of \
the quay until the lowest steps are white with ice. The pilots meet before dawn in the small house beside \
the customs shed. They drink their coffee standing, look at the glass and at the flags of the signal mast, \
and decide between them who takes the first ship. A large vessel needs two of them, one for the channel \
between the islands and one for the berth, because the current turns behind the mole and nobody can watch \
both shores at once. The rule is older than the engines. It was written down after a grain ship struck the \
eastern pier in a fog, and since then the book in the small house has the name of every ship, the hour, \
the draught, the wind, and the two signatures.
In summer the work is of another kind. Sailing boats fill the inner basin, and their owners ask for \
everything: a chart, a rope, a mechanic on a Sunday, the time of the tide, a doctor, a cook. The harbour \
master keeps a list of those who can help, and he has learnt to ask three questions before he sends \
anybody. What has happened, where does the boat lie, and what has been tried already? Most troubles end \
with the third question, for the answer is often that nothing was tried. He says that without scorn. \
People on the water are tired, and a tired man forgets the tap that he closed himself in the morning.
When the fishing fleet comes home, all of this stops. The boats come in a line, the smallest first, since \
they were out the longest, and the crane at the auction hall begins to move before the first rope is \
ashore. Boxes of herring, cod and plaice go over the scales, and a clerk calls out weights and names to a \
second clerk who writes them on a board. Buyers stand behind the board with their hands in their pockets. \
They have seen the catch from the mole, and each has a price in his head that he would rather not say \
first. Within an hour the hall is hosed down and empty, the lorries are on the coast road, and the gulls \
have the quay to themselves. Then the pilots come back to the small house, and the youngest of them opens \
the book at a new page.
"""
PREDICT = 64  # tokens of an answer


@dataclass(frozen=True)
class Prompt:
    """A prompt of the tool's own.

    + name: `short` or `long`, which has some 500 tokens
    """

    name: str
    text: str

    def numbered(self, number: int) -> str:
        """The prompt with a beginning of its own.

        Ollama keeps what it has read of the last prompt, and would not read the same one again: real prompts
        differ.
        """
        return f"Note {number % 10_000:04}. {self.text}"


SHORT = Prompt("short", _TASK)
LONG = Prompt("long", f"{_STORY}\n{_TASK}")
