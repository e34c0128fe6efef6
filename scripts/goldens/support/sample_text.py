"""Four texts of the project's own, long enough for a window of 128 ids each."""

TEXTS = [
    # Prose
    """The ferry left before sunrise, when the harbour was still grey and the gulls sat in rows on \
the wall. Marta had bought her ticket the evening before, afraid that she would sleep too long, and \
then she had not slept at all. Now she stood at the rail with a cup of coffee that was too hot to \
drink and watched the lamps of the town go out one after another. Her brother had written that the \
island was smaller than he remembered. The school had closed, the bakery opened only on Saturdays, \
and the lighthouse had been sold to a painter from the capital who kept bees and spoke to nobody. \
She wondered whether he would be waiting on the pier, and whether she would know him after so many \
years. The wind turned, the engine changed its voice, and the first houses rose out of the mist, \
white and square, exactly as they had stood in the photograph above her desk.""",
    # Worked arithmetic
    """Question: A market stall sells apples at 3 coins each and pears at 4 coins each. Nadia buys \
twice as many apples as pears and pays 50 coins in all. How many pieces of fruit does she carry \
home? Answer: Let p be the number of pears. Then she buys 2p apples. The apples cost 3 times 2p, \
which is 6p coins, and the pears cost 4p coins. Together that is 10p coins. Since 10p = 50, p = 5. \
She carries 5 pears and 10 apples, so 15 pieces of fruit. The answer is 15. Question: A train needs \
45 minutes for 60 kilometres. How far does it travel in 2 hours at the same speed? Answer: 2 hours \
are 120 minutes. 120 divided by 45 is 8/3. 60 times 8/3 is 160. The answer is 160 kilometres.""",
    # Code
    """def longest_run(values):
    \"\"\"Return the start and the length of the longest run of equal values.\"\"\"
    best_start, best_length = 0, 0
    start = 0
    for index, value in enumerate(values):
        if index > 0 and value != values[index - 1]:
            start = index
        length = index - start + 1
        if length > best_length:
            best_start, best_length = start, length
    return best_start, best_length


def test_longest_run():
    assert longest_run([]) == (0, 0)
    assert longest_run([7]) == (0, 1)
    assert longest_run([1, 2, 2, 2, 3, 3]) == (1, 3)
    assert longest_run("aabbbcc") == (2, 3)

""",
    # A list, dialogue, names and other scripts
    """Shopping for the winter feast:
1. flour, 2 kg; 2. honey (the dark one); 3. crème fraîche; 4. jalapeños; 5. Käse from Zürich.
"Did you ring Søren?" asked Łucja. "Twice," said Émile, "and he never answers before noon."
- Moscow is written Москва, Athens is written Αθήνα, and Tokyo is written 東京.
- The temperature fell to -12.5 °C; the river froze on 14 January 1987, at about 06:40.
"Well," she said, "then we shall start without him, and he can wash the dishes when he comes. Put \
the chairs along the wall, light the stove, and tell the children that nobody touches the cake \
before the candles are lit!" They laughed; outside, the snow went on falling, softly and without \
any hurry, over the roofs, the orchard and the road that led down to the frozen lake.""",
]
