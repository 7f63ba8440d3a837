"""The plots: what happens in a story, beat by beat, as plain data.

Slots that hold for a whole story (story.py sets them):
  {h} {he} {him} {his} {himself} {hcall}   the hero: name, pronouns, how others call the hero
  {f} {fhe} {fhim} {fhis} {fcall}          the friend, of the other sex
  {place} "by the river", {spot} "the river", {other_place} {other_spot}, {home}, {thing} "kite", {color_thing} "red kite",
  {hiding}, {meal}, {treat} "plum cake", {project} "raft", {tool_}, {seed} "sunflower", {creature}, {trap_}, {game_}, {day}
Any other slot is a fresh draw from the pool of that name in words.py.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Beat:
    """One step of a plot: one of the templates is told, with probability `chance`."""

    templates: tuple[str, ...]
    chance: float = 1.0


@dataclass(frozen=True)
class Plot:
    """A story between its opening and its ending: beats in order, and the lessons that fit."""

    beats: tuple[Beat, ...]
    lessons: tuple[str, ...]


def _told(*templates: str) -> Beat:
    return Beat(templates)


def _maybe(chance: float, *templates: str) -> Beat:
    return Beat(templates, chance)


OPENING = (
    "Once upon a time, there was {intro} who lived [in {home} ||]{place}.",
    "Once upon a time, there was {intro}. {He} lived in {home} {place}.",
    "Once upon a time, {place}, there lived {intro}.",
    "Once upon a time, {intro} lived in {home} {place}.",
    "Once upon a time, in a land [of {big} hills|far away|beyond the sea], there lived {intro}. {His} home was {home} {place}.",
    "Long ago, {intro} lived {place}.",
    "There was once {intro} who lived in {home} {place}.",
    "One {sky} {morning}, {intro} sat {place}.",
    "One {sky} {morning} in {season}, {intro} {went} [out of {home}|along a path] {place}.",
    "{Opening} lived in {home} {place}.",
    "{Opening} woke up early on {day}. It was a {sky} {morning} in {season}.",
    "{Opening} lived {place} and loved {food}.",
    "{Place}, in {home}, lived {intro}.",
    "It was a {sky} {morning} in {season}. {Intro} was playing {game} {place}.",
    "On {day}, {opening} {went} [down|over|up] to {spot}.",
    "Everybody {place} knew {opening}. {He} had {home} and [a {color} {things}|a {color} {things} and a {color} {things}].",
)

HABIT = _maybe(
    0.55,
    "{He} liked {food} [and {food}|more than anything] and [often|always|sometimes] played {game} [with {his} friends|in the rain|after lunch|all day].",
    "Every {morning}, {he} [ate {food}|sang a song|swept the floor|watched the clouds|fed the birds|counted {his} toys] and listened to {sound}.",
    "{He} was [always|often|almost always] {happy}, and {he} loved the smell of {smell}.",
    "{H} had [a {color} {things}|a {big} {color} {things}|{money} {color} stones|a {color} {things} and {money} coins] and a {big} dream.",
    "{His} best friend was {fintro}. Together they [played {game}|ate {food}|told stories|looked for {sight}].",
    "In {season}, {he} liked to watch {sight} or {sight}.",
    "[Nobody|No one] {place} could play {game} as well as {he} could.",
    "{He} had [{money}|many|no] [brothers|sisters|cousins], and {he} [shared {food} with them|wished for {money} more|told them about everything].",
)

DETAIL = (
    "{He} heard {sound}.",
    "{He} could hear {sound} and {sound}.",
    "The air smelled of {smell}.",
    "Above {him}, {he} saw {sight}.",
    "On the way, {he} saw {sight} and {sight}.",
    "It was a {sky} {morning}, and everything smelled of {smell}.",
    "{He} stopped to look at {sight}.",
    "The {season} sun [shone on|warmed|hid behind] {spot}.",
    "Far away, there was {sight}.",
    "{He} was so {tired} that {he} sat down [for a while|on a {color} stone|and ate {food}|and listened to {sound}].",
    "{He} [hummed a little song|took a deep breath|scratched {his} head|counted to {money}|ate {food}].",
    "From {other_spot}, {he} heard {sound}.",
)

FEELING = (
    "{He} felt {sad} and {tired}.",
    "{H} was very {sad}.",
    "{His} {body} began to shake.",
    "{H} sat down and [began to cry|hid {his} face|did not say a word|looked at the ground].",
    "A tear rolled down {his} [cheek|nose|face].",
    '"Oh no," said {h}. "[What can I do|What shall I do|Who will help me|Why did this happen] now?"',
    '"This is a {sky} and terrible {morning}," {h} thought.',
    "{H} felt so {sad} that even {food} did not help.",
    '{H} shook {his} head. "I am too {tired} for this," {he} said {softly}.',
)

MEET_FRIEND = (
    "Just then, {fintro} came [by|along|down the road|out of the bushes|from {other_spot}].",
    "Soon, {he} met {fintro} who was looking for {food}.",
    "{Fintro} heard {him} and stopped.",
    "Near {other_spot}, {he} met {fintro}.",
    "After a while, {fintro} [sat down next to {him}|looked over the fence|came to see what was wrong].",
    "Then there was {sound2}. It was {fintro}!",
    "{Fintro}, who lived {other_place}, saw {him} there.",
)

ASK_WRONG = (
    '"[Why are you so {sad}|What is wrong|What happened|Why do you look so {sad}], {hcall}?" [asked {f}|{f} asked {softly}|{fhe} asked].',
    '"Hello, {hcall}," said {f}. "You look {sad}. [Can I help you|What happened|Do you want some {food}]?"',
    '{F} gave {him} some {food} and asked, "[What is the matter|What happened to you|Can you tell me about it], {hcall}?"',
    '"[Do not cry|Do not be {sad}|Do not worry], {hcall}," said {f} {softly}. "[Tell me everything|I will help you|Two heads are better than one]."',
)

THANKS = (
    '"[Thank you|Thank you so much|Oh, thank you], {fcall}!" [said {h} {loudly}|cried {h}|{h} said]. "You are [so|very|really] {helpful}."',
    '{H} hugged {f} and [said|whispered], "[You are my best friend|I will never forget this|Thank you for everything|Now I am {happy} again]."',
    '"No other {fnoun} {place} is as {helpful} as you," {h} said {softly}.',
    "{H} thanked {f} and gave {fhim} [some {food}|a {color} {things}|{food} and a {color} {things}].",
    '"How can I thank you, {fcall}?" asked {h}. "[Give me some {food}|Be {helpful} to others|Play {game} with me]," [{f} said|said {f}].',
)

ENDING = (
    "{Lesson}",
    "{Lesson} And [from that {morning} on|ever since|after that], {h} and {f} [were the best of friends|played {game} every {morning}|ate {food} together every {days}].",
    "They [ate {food}|played {game}|watched {sight}|sang songs] until the [sun went down|moon came up|stars came out]. {Lesson}",
    "That night, {h} [slept well|dreamed of {sight}|fell asleep with a smile|listened to {sound}]. {Lesson}",
    "{H} and {f} [laughed|danced|smiled] and {went} home [to eat {food}|for {food}|under the stars|past {other_spot}]. {Lesson}",
    "Back home, {he} [ate {food}|told the story {loudly}|went to bed {happy} but {tired}]. {Lesson}",
    "From then on, {h} was always {helpful}, even on a {sky} {morning}.",
    "And {h} and {f} lived {loudly_end} ever after.",
    "It had been a {sky} {morning}, but a [good|very good|wonderful|lucky] one. {Lesson}",
)

LOST_THING = Plot(
    (
        _told(
            "{He} had a {color_thing} [from {his} [mother|father|grandmother|uncle|aunt]|that {he} loved very much|and took it everywhere].",
            "{His} favorite [thing|toy|treasure] was a {color_thing}.",
            "For {his} birthday, {he} got a {color_thing} and [some {food}|a {color} {things}|{money} coins].",
        ),
        _told(
            "But on {day}, the {thing} was gone.",
            "One {sky} {morning}, {he} could not find {his} {thing}.",
            "Then, after a game of {game_}, {he} saw that the {thing} was [gone|missing|lost].",
            "One {morning}, {h} {went} to {other_spot} and lost the {thing}.",
        ),
        _told(*FEELING),
        _told(
            "{He} {looked} {hiding2} and {hiding3}, but the {thing} was not there.",
            "First {he} {looked} {hiding2}. Then {he} {looked} {hiding3}. There was only [a {color} {things}|{sight}|some {food}].",
            "{H} {looked} everywhere, even {hiding2}, but found only [a {color} {things}|{money} coins|some {food}].",
        ),
        _told(*MEET_FRIEND),
        _told(*ASK_WRONG),
        _told(
            '"I lost my {color_thing}," {h} [said|answered|told {fhim}|sobbed].',
            '"My {thing} is gone," said {h}. "I {looked} {hiding2}, but it is not there."',
            '"I cannot find my {thing}," {he} said. "It is {color2} and very {pretty_}."',
        ),
        _told(
            '"[Let us look together|Let us look {other_place}|I saw something {color2} {hiding}|I think I know where it is]," said {f}.',
            '{F} thought about it. "Where did you [play {game_}|eat {food}|go] last?" {fhe} asked.',
            '"Did you look {hiding}?" asked {f}. {H} had not.',
        ),
        _told(
            "They {went} to {other_spot} and {looked} {hiding}. There was the {color_thing}!",
            "{Hiding}, next to [some {food}|a {color} {things}|{sight}], they found the {thing}.",
            "Together they {looked} {hiding}, and there it was, [wet|dusty|dirty|cold] but not broken.",
            "Something {color2} was {hiding}. It was the {thing}!",
        ),
        _told(*THANKS),
    ),
    (
        "{H} learned that [lost things are found faster with a friend|four eyes see more than two|friends can find anything].",
        "After that, {h} always kept the {thing} [in a {color} box|near {his} bed|in {his} pocket|{hiding4}].",
        "{H} knew that a [good|{helpful}] friend is worth more than {money} toys.",
    ),
)

LOST_WAY = Plot(
    (
        _told(
            "One {sky} {morning}, {he} {went} out to [find {food}|look for {sight}|see {other_spot}|pick flowers].",
            "On {day}, {h} followed {sight} all the way to {other_spot}.",
            "{H} wanted to visit {his} [grandmother|uncle|aunt|cousin], who lived {other_place}.",
            "{H} heard {sound} and {went} after it, past {other_spot}.",
        ),
        _told(
            "But the [path|road|way] was [long|dark|new], and soon {he} was lost.",
            "The fog came, and {he} could not see [the path|the road|{his} own feet|{spot}].",
            "When {he} turned around, [the path was gone|every tree looked the same|nothing looked the same|there was only {sight}].",
            "It got dark, and {he} did not know [the way home|where {he} was|which path to take].",
        ),
        _told(*FEELING),
        _maybe(
            0.6,
            "{He} {went} [left|right] at a {color} stone and [left|right] at {other_spot}, but it was the wrong way.",
            "{He} called {loudly}, but [nobody came|only {sound2} answered|no one was there].",
            "{He} climbed [a {big} tree|a {big} rock|a hill] and saw only {sight} and {sight}.",
        ),
        _told(*MEET_FRIEND),
        _told(
            '"[I am lost|I cannot find my way home|I do not know the way], {fcall}," said {h}. "I live in {home} {place}."',
            '"Are you lost, {hcall}?" asked {f}. {H} nodded.',
            '"Can you show me the way to {spot}?" {h} asked {softly}.',
            '"Where do you live, {hcall}?" {f} asked. "In {home} {place}," said {h}.',
        ),
        _told(
            '"[Follow the smell of {smell}|Listen to {sound}|Walk behind me|Follow the {color2} stones]," said {f}, "and you will [soon be home|find {spot}|see {home}]."',
            '"I know {spot} well," said {f}. "[Take my hand|Come with me|It is not far|First, eat some {food}]."',
            '{F} drew a map with a {color} {things} in the middle. "[Go past {other_spot}|Turn left at {other_spot}|Walk along {other_spot}]," {fhe} said.',
        ),
        _told(
            "They {went} over [a {big} bridge|a {big} hill|the stones] and through [the tall grass|a {big} field|the trees], and {f} [told stories|sang {softly}|carried {his} {things}].",
            "They {went} past {other_spot} and saw {sight} on the way.",
            "Step by step, they {went} on, until {he} smelled {smell}.",
        ),
        _told(
            "At last, {he} saw [{home}|the lights of {home}|{spot}|smoke above {spot}].",
            'Then {h} cried {loudly}, "[There is {spot}|I see {spot}|That is my home]!"',
            "Before [night|dinner|the rain], {h} was home again.",
        ),
        _told(*THANKS),
    ),
    (
        "{H} learned that [it is wise to ask for help|asking the way is never silly|a kind guide makes a road short].",
        "After that, {h} [never went out without a {color} {things}|always left {color} stones along the path|always told somebody before going to {other_spot}].",
        "{H} learned to [look back|watch the path|remember the {color} stones] on the way out.",
    ),
)

STUCK = Plot(
    (
        _told(
            "On {day}, {he} heard a [small|sad|tiny|weak] voice {near_place}.",
            "While {he} was [playing {game_}|eating {food}|looking at {sight}], somebody called for help.",
            '"Help! Help!" [somebody cried|called a tiny voice|someone shouted] {near_place} one {sky} {morning}.',
            "One {sky} {morning}, {he} {went} to {other_spot} and heard somebody cry.",
        ),
        _told(
            "A {color_animal} was stuck {trap_}.",
            "It was a {creature}. It was stuck {trap_}!",
            "There, {trap_}, sat a {creature}. It could not get out.",
        ),
        _told(
            '"[Do not be afraid|Stay still|Wait there|Do not move], little {creature}," {h} [said|called|said {softly}]. "I will [help you|get you out|find a {tool_}]."',
            '"How did you get there?" asked {h}. "I was looking for [{food}|{sight}|my mother]," said the {creature}.',
            '"Please help me," said the {creature}. "I am so {tired} and {sad}."',
        ),
        _told(
            "{H} pulled and pulled, but {he} was [not strong enough|too small|too {tired}].",
            "{He} tried to reach it with a {color} {things}, but it was too far away.",
            "First {he} tried [with {his} hands|alone|with a {color} {things}], but the {creature} did not move.",
        ),
        _maybe(0.4, *FEELING),
        _told(*MEET_FRIEND),
        _told(
            '"[We need a {tool_}|Let us use a {tool_}|I have a {tool_} at home|A {tool_} will help]," [said {f}|{f} said {softly}].',
            '"Help me, {fcall}!" {h} cried. "The {creature} is stuck {trap_}."',
            '{F} had an idea. "Bring me that {tool_}, {hcall}," {fhe} said.',
        ),
        _told(
            "{H} held one end of a {tool_}, and {f} [held|pulled] the other. They worked {quickly}.",
            "They took a {tool_} and pushed {quickly}. One, two, three!",
            "{F} [counted to {money}|gave a shout|took a deep breath], and they both pulled {quickly}.",
            "With a {tool_}, it was [easy|not so hard|a matter of minutes].",
        ),
        _told(
            "[Pop|Bump|Splash|Snap]! The {creature} was free.",
            "At last, the {creature} was [free|out|safe] and [jumped|danced|ran around] {loudly}.",
            "Soon the {creature} [was safe|could walk again|was back on the grass] and ate {food}.",
        ),
        _told(
            '"Thank you, both of you!" said the {creature}. "[I will bring you {food}|You are so {helpful}|Let us play {game}]."',
            'The {creature} [looked at them|smiled|bowed] and said, "[You saved me|I was so {sad}, but now I am {happy}|You are very {helpful}]."',
            "The {creature} gave them [some {food}|a {color} {things}|{money} {color} stones] and {went} home to {spot}.",
        ),
    ),
    (
        "{H} learned that [together, small friends are strong|two can do what one cannot|nobody is too small to help].",
        "After that, the {creature} never went near [such a place|{other_spot}] alone.",
        "{H} was {happy}, because helping somebody [feels good|is better than {food}|makes the {morning} bright].",
    ),
)

BAKING = Plot(
    (
        _told(
            "{H} wanted to [bake|make] a {treat} for [the {season} party|{his} mother|{his} grandfather|the village fair|{his} birthday|a sick neighbor].",
            "On {day}, {he} decided to [bake|make] a {treat}.",
            '"[Today I will make a {treat}|I want to bake a {treat}]," {h} said one {sky} {morning}.',
        ),
        _told(
            "{He} took flour, {money} eggs, and a {color} spoon, and [mixed them|went to work] {quickly}.",
            "{He} put milk, butter, and {money} eggs into a {color} bowl.",
            "First {he} washed {his} hands. Then {he} looked for [sugar|flour|butter|eggs|salt] {hiding2}.",
        ),
        _told(
            "But the {treat} [burned|fell on the floor|came out flat|was as hard as a stone|tasted of salt|turned {color}].",
            "But {he} [forgot the sugar|used {money} spoons of salt|listened to {sound} too long|played {game_} too long], and the {treat} was [spoiled|burned|flat].",
            "When {he} opened the oven, there was only black smoke.",
        ),
        _told(*FEELING),
        _told(*MEET_FRIEND),
        _told(*ASK_WRONG),
        _told(
            '"My {treat} is [burned|spoiled|too salty|flat]," {h} said.',
            '"I wanted to make a {treat}, but I [did it all wrong|am a bad cook|made a mistake]," said {h}.',
        ),
        _told(
            '"[Everybody makes mistakes|My first {treat} was worse|That happens to me on {days} too]," said {f}. "[Let us try again|Let us make a new one|Try once more]."',
            '"[You need more butter|You need less salt|The oven was too hot|Read the book first]," said {f} {softly}. "I will show you."',
            '{F} tasted it and laughed. "[It needs honey|It needs {money} more eggs|The birds will like it]," {fhe} said.',
        ),
        _told(
            "They [mixed|stirred] {quickly}, and soon {home_short} smelled of {smell}.",
            "{F} read the recipe, and {h} [stirred|mixed|measured] {quickly}.",
            "This time, {h} [watched the oven|counted to {money}|tasted everything|worked {quickly}] while {f} sang.",
        ),
        _told(
            "The new {treat} was [soft|sweet|perfect|warm|round] and [golden|brown|light|big].",
            "At last, a {big} {treat} stood on the table, next to [some {food}|a {color} {things}].",
            "It was the best {treat} {place}. Everyone wanted [a piece|{money} pieces|more].",
        ),
        _maybe(0.7, *THANKS),
    ),
    (
        "{H} learned that [a mistake is a good teacher|trying again is the best recipe|every cook burns something once].",
        "After that, {h} and {f} baked [a {treat}|something new|a {flavor} {dish}] every {day}.",
        "{H} learned to [take time|read first|ask for help] and never to give up.",
    ),
)

BUILDING = Plot(
    (
        _told(
            "{H} wanted to build a {project} {other_place}.",
            "One {sky} {morning}, {he} had a {big} idea. {He} would build a {project}!",
            '"I am going to build a {project}," {h} told {his} [mother|father|sister|brother|friends] on {day}.',
        ),
        _told(
            "{He} found [wood|nails|paper|string|boards] {hiding2} and [a {color} brush|a {tool_}|{money} stones] {hiding3}.",
            "{He} worked {quickly} for {money} [hours|days], with only {food} to eat.",
            "{He} [cut|carried|painted|tied] {money} {color} boards and worked {quickly}.",
        ),
        _told(
            "But the {part} [broke|fell off|was too heavy|did not fit|cracked], and the {project} fell down.",
            "But then {sound2} made {him} jump, and the {part} [broke|fell off|cracked].",
            "But a {sky} wind came and blew the {project} [over|away|to pieces].",
        ),
        _told(*FEELING),
        _told(*MEET_FRIEND),
        _told(
            '"What are you building, {hcall}?" asked {f}. "A {project}," said {h}, "but the {part} [is broken|always falls off|does not fit]."',
            '"That is a {pretty_} {project}," said {f}, "but the {part} [is too weak|is not straight|needs more nails]."',
            *ASK_WRONG[:2],
        ),
        _told(
            '"[Use a {tool_}|We can use my {tool_}|Tie it with string|Try {color} nails]," {f} said. "[I will hold it|I will help you|It will be strong]."',
            '{F} brought a {tool_} and some {food}. "[First we eat, then we work|Start with the {part}|Let us do it together]," {fhe} said.',
        ),
        _told(
            "{H} held the {part} and {f} [worked with the {tool_}|tied it {quickly}|sang {softly}].",
            "They worked {quickly} until [noon|evening|dinner|the moon came up], and {f} [told stories|hummed|made {food}].",
            "{F} fixed the {part}, and {h} painted it {color} and {color}.",
        ),
        _told(
            "At last, the {project} was [ready|done|finished]. It was {big} and {color}.",
            "Now the {project} was [strong|safe|better than before], and everybody {place} came to see it.",
            "On {days}, the {project} was ready, and they put a {color} flag on it.",
        ),
        _maybe(0.7, *THANKS),
    ),
    (
        "{H} learned that [good work takes time|big things are built by many hands|what falls down can be built again].",
        "After that, everybody called it the {project} of {h} and {f}.",
        "{H} learned that a {helpful} friend is [the best tool|better than a {tool_}|stronger than nails].",
    ),
)

FEAR = Plot(
    (
        _told(
            "But {h} was afraid of {fear}.",
            "{He} was [brave|{helpful}], but {fear} made {his} {body} shake.",
            "{H} had a secret. {He} was afraid of {fear}.",
        ),
        _maybe(
            0.7,
            "{He} hid {hiding2} [whenever {he} could|on {days}|with a {color} {things}] and waited.",
            "{His} friends [laughed|played {game_}|ate {food}] without {him}.",
            '"[I cannot do it|I am not brave|I want to stay home]," {he} often said {softly}.',
        ),
        _told(
            "One {sky} {morning}, {fintro} needed help. {Fhis} {color_thing} was lost, and to find it, {h} had to face {fear}.",
            "On {day}, a little {creature} was stuck {trap_}, and {fintro} called {loudly} for help.",
            "One {sky} {morning}, {fintro} fell and could not walk. There was nobody else {near_place}.",
        ),
        _told(
            '"Please help, {hcall}!" cried {f}. "[There is no time|I cannot do it alone|Nobody else is here]."',
            '"I know you are afraid of {fear}," said {f} {softly}, "but [you are not alone|I will be with you|I need you]."',
            '"[Can you do it|Will you come|Will you try], {hcall}?" asked {f}.',
        ),
        _told(
            "{His} {body} shook. But {he} thought of [{f}|{food}|{sight}|home] and took {money} steps.",
            "{H} closed {his} eyes, counted to {money}, and {went} on.",
            "{H} took a {color} {things} in {his} hand and sang {softly}.",
            "{He} breathed in the smell of {smell} and [said|whispered], \"I can do it.\"",
        ),
        _maybe(0.5, *DETAIL),
        _told(
            "Step by step, {he} {went} on. It was [not so bad|easier than before|only a little scary].",
            "It took {money} minutes, but {he} did it.",
            "And then {he} simply did it!",
        ),
        _told(
            '"You did it!" {f} cried {loudly}. "No {hnoun} is as {helpful} as you."',
            '"[I was afraid, but I did it|It was only {fear}|I feel {happy}]," said {h} {loudly}.',
            '{F} hugged {him}. "[I knew you could do it|You are brave|You saved the {morning}], {hcall}," {fhe} said.',
        ),
    ),
    (
        "{H} learned that [being brave means going on|even brave hearts shake a little|a friend is bigger than any fear].",
        "{H} was still a little afraid of {fear}, but [now {he} knew what to do|not with a friend near|it did not matter any more].",
        "After that, {h} [laughed about|sang about|hardly thought of] {fear}.",
    ),
)

RACE = Plot(
    (
        _told(
            "On {day}, there was a {big} race from {spot} to {other_spot}. The prize was [a {color_thing}|some {food}|{money} gold coins].",
            "Every {season}, there was a race to {other_spot}, and the winner got [a {color_thing}|{food}|a {treat}].",
            "One {sky} {morning}, {h} wanted to win the {season} race and get [the {color_thing}|the {treat}].",
        ),
        _told(
            '{Fintro} wanted to win too. "[I am faster|I will win|Nobody is faster than I am], {hcall}," {fhe} said.',
            '"You are too [small|slow|young], {hcall}," laughed {fintro}. "[Stay at home|Go and play {game}|You will be last]!"',
            "{Fintro} was [the fastest|very fast|the strongest], and everybody thought {fhe} would win.",
        ),
        _told(
            "[Ready, set, go|One, two, three, go]! They ran past [{sight}|a {big} tree|a {color} house|{money} trees].",
            "A {color} flag went up, and they all ran {quickly}.",
            "When {sound2} was heard, the race began.",
        ),
        _told(
            "{F} was first, but then {fhe} stopped to [eat {food}|rest|look at {sight}|laugh].",
            "{F} ran so fast that {fhe} did not see [a {color} stone|the mud|a {big} hole] and fell.",
            "At {other_spot}, {f} took the wrong path and saw only {sight}.",
        ),
        _told(
            "{H} could [win now|go past|be first], but {he} stopped. \"[Are you hurt|Do you need help|What happened], {fcall}?\" {he} asked.",
            "{H} was {tired}, but {he} went on {quickly}, step by step.",
            "{H} did not laugh. {He} gave {fhim} [a hand|some water|some {food}] and said, \"[Come|Get up|Let us run together]!\"",
        ),
        _maybe(0.5, *DETAIL),
        _told(
            "They came to {other_spot} at the same time, and everybody cheered {loudly}.",
            "{H} came to {other_spot} first, {tired} and {happy}.",
            "A [small|slow] {creature} won the race, but everybody clapped for {h} and {f}.",
        ),
        _told(
            '"[You were right to be patient|I am sorry that I laughed|You are very {helpful}|Good race], {hcall}," said {f} {softly}.',
            '"[Let us share the prize|Next time we run together|That was fun], {fcall}," said {h}.',
            "They shared the [{treat}|{meal}|prize] with [all the runners|everybody {place}|the little {creature}].",
        ),
    ),
    (
        "{H} learned that [being kind is better than being first|slow and steady is also fast|a friend is the best prize].",
        "{F} learned [not to laugh at others|never to stop too early|that even a small {hnoun} can run well].",
        "Everybody {place} remembered that race for {money} years.",
    ),
)

GIFT = Plot(
    (
        _told(
            "It was almost the birthday of {fintro}, and {h} had no gift.",
            "On {day}, {fintro} would have a birthday, and {h} wanted to give {fhim} a {color_thing}.",
            "{H} had a good friend, {fintro}, and wanted to give {fhim} something for the first day of {season}.",
        ),
        _told(
            "{He} had only {money} coins, and the {thing} in the shop cost much more.",
            "{He} {looked} {hiding2} and {hiding3}, but found only [a {color} {things}|some {food}|{money} coins].",
            "{He} {went} to the market near {other_spot}, but everything cost more than {money} coins.",
        ),
        _told(*FEELING),
        _told(
            '"[I can make something|I will make a {treat}|I will work for it]," {he} thought {softly}.',
            'A {creature} saw {him} and said, "[What does your friend like|Why not make something|Can you sing or paint]?"',
            "Then {he} saw {sight} and had an idea.",
        ),
        _told(
            "So {he} [painted a picture of {sight}|wrote a song about {sight}|picked {money} flowers|made a {color_thing} of paper] and worked {quickly}.",
            "For {money} days, {he} helped {a_worker} and [swept the floor|carried water|fed the hens|washed the windows].",
            "{He} took [paper|wood|string|clay] and a {color} brush and made a {color_thing}.",
        ),
        _maybe(0.5, *DETAIL),
        _told(
            "On the {sky} {morning} of the party, they all ate {food}.",
            "At the party, they played {game_} and ate {meal}.",
            "All the friends came to {other_spot} with {big} gifts.",
        ),
        _told(
            '"This is for you, {fcall}," said {h} {softly}. "[I made it myself|It is small, but it is from me|I hope you like it]."',
            '{H} gave {fhim} the gift. "[It is not {big}|It is only paper|I have no money]," {he} said, "but [it is from my heart|I made it for you|I thought of you]."',
        ),
        _told(
            '"[It is the best gift of all|I love it|It is so {pretty_}]!" {f} cried {loudly}.',
            "{F} put it [near the window|next to {fhis} bed|on the table|above the door] and smiled.",
            "{F} was so {happy} that {fhe} [danced|sang|laughed] {loudly}.",
        ),
    ),
    (
        "{H} learned that [the best gifts come from the heart|a gift need not cost money|love is worth more than gold].",
        "{F} kept it for {money} years, {hiding4}.",
        "After that, {h} made [a gift|something {pretty_}] for somebody every {season}.",
    ),
)

SHARING = Plot(
    (
        _told(
            "One {sky} {morning}, {he} found [a basket of|a {big} box of|a {color} bag of] {meal} {hiding}.",
            "On {day}, {his} [mother|father|grandmother] gave {him} {meal} for the way to {other_spot}.",
            "{H} had {meal}, enough for {money} days, and hid it {hiding}.",
        ),
        _told(
            '"[It is all mine|I will eat it alone|I will not share it]," {he} [thought|said|said {softly}].',
            "{H} wanted to keep everything [for {himself}|for winter|to {himself}].",
            "{H} sat down {other_place} to eat.",
        ),
        _told(*MEET_FRIEND),
        _told(
            '"[I have not eaten since {days}|I am so {tired} and hungry|I wish I had some {meal}], {hcall}," said {f}.',
            '"[May I have some|Will you share that with me|Can I have a bite], {hcall}?" asked {f} {softly}.',
            "{F} looked at the food and said nothing. {Fhe} was [thin|hungry|{tired}].",
        ),
        _told(
            '"No," said {h}. "[There is not enough|I found it|Go away]." And {f} {went} away, {sad} and {tired}.',
            "{H} turned around and ate alone. But [it did not taste good|it tasted of nothing|{he} felt {sad}].",
            "{H} thought for a while. {He} was hungry too.",
        ),
        _told(
            "Then {he} remembered [a {sky} day in {season}|what {his} mother said|how hungry {he} was last {season}] and felt {sad}.",
            "But then {he} heard {sound2} and felt [alone|{sad}|sorry].",
            "But eating alone {place} was no fun, not even with {food}.",
        ),
        _told(
            '"Wait, {fcall}!" {h} called {loudly}. "[Come and eat with me|There is enough for two|I am sorry]."',
            '"Here, {fcall}," {he} said. "[Take half|Have some|You can have {money} bites|Take the bigger piece]."',
        ),
        _told(
            "They sat {near_place} and ate together, and {f} told {him} about {sight}.",
            "{F} brought [a {color} {things}|{food}|a {treat}] too, and they had a {big} picnic.",
            "They ate and laughed, and then they played {game_}.",
        ),
        _told(
            '"[It tastes better now|This is the best {meal_word} of my life|I am so {happy}]," said {h}.',
            '"You are {helpful}, {hcall}," said {f} {softly}. "Next time I will bring {food}."',
            "Next {season}, when {h} had nothing, {f} brought {him} {food}.",
        ),
    ),
    (
        "{H} learned that [food tastes better with a friend|sharing makes little into much|a full heart is better than a full basket].",
        "After that, {h} always kept [half|a piece|a bite] for [a friend|{f}|somebody hungry].",
        "{H} never ate alone again on a {sky} {morning}.",
    ),
)

TRUTH = Plot(
    (
        _told(
            "One {sky} {morning}, {he} played {game_} inside and broke a {color_thing}.",
            "On {day}, {h} took the {color_thing} of {fintro} without asking, and it [broke|fell into the water|cracked].",
            "While {he} was playing {game_}, the {color_thing} of {fintro} fell down and broke.",
        ),
        _told(
            "{He} hid it {hiding} and {went} away {quickly}.",
            "Nobody saw it. {H} put the pieces {hiding}.",
            '"Nobody must know," {he} thought, and hid everything {hiding}.',
        ),
        _told(
            'Soon {f} came and asked, "[Where is my {thing}|Who took the {thing}|Did you see my {thing}], {hcall}?"',
            '"My {color_thing} is gone," {f} said. "[Did you see it|Do you know where it is], {hcall}?"',
        ),
        _told(
            '"[It was the wind|A {creature} did it|I did not see it|I was asleep]," said {h}, and {his} face turned red.',
            '"[Maybe it is {hiding2}|Maybe a {creature} took it|I do not know]," {h} said {softly}.',
        ),
        _told(
            "That night, {he} could not sleep. {He} heard {sound} and thought of the {thing}.",
            "{F} {looked} {hiding2} and {hiding3}, and {h} felt {sad}.",
            "All {morning}, {he} felt {sad}, and {food} did not taste good.",
        ),
        _maybe(0.4, *FEELING),
        _told(
            "At last, {he} {went} to {f}. \"[I broke your {thing}|It was me|I told a lie], and I am sorry,\" {he} said.",
            'In the {morning}, {h} said {softly}, "[I did it|I broke it|The {thing} is {hiding}]. I was afraid to tell you."',
        ),
        _told(
            '"[I am sad about the {thing}|It was a {pretty_} {thing}|I liked it]," said {f}, "but [I am {happy} that you told me|the truth is worth more|you are {helpful}]."',
            '{F} was quiet. Then {fhe} said {softly}, "[Thank you for the truth|Everybody makes mistakes|It takes courage to say that], {hcall}."',
        ),
        _told(
            "Together they [fixed|glued|mended] the {thing} with [string|paste|{color} paint|a {color} ribbon].",
            "{H} worked {quickly} for {money} days and bought {fhim} a new {color} {thing}.",
            "{H} gave {fhim} {his} own {color} {things} and {food}.",
        ),
    ),
    (
        "{H} learned that [the truth is light and a lie is heavy|it is better to tell the truth|an honest word mends more than glue].",
        "After that, {h} always [told the truth|asked first|said what happened], even when {his} {body} shook.",
        "And {h} slept well again [that night|on {days}|in {home}].",
    ),
)

HURT = Plot(
    (
        _told(
            "One {sky} {morning}, {he} found a {creature} {hiding}. It had a {injury}.",
            "On {day}, a {creature} with a {injury} lay {near_place}.",
            "After a {sky} night, {he} saw a little {creature}. It could not move, because it had a {injury}.",
        ),
        _told(
            '"[Poor little thing|You poor thing|Do not be afraid]," said {h} {softly}. "[I will take care of you|You can stay with me|I will help you]."',
            "{H} put it in a {color} {box_} and carried it to {home_short} {quickly}.",
            "{He} gave it [water|{food}|a warm bed] and covered it with a {color} [blanket|scarf|cap].",
        ),
        _told(
            "But the {creature} did not [eat|drink|sleep], not even [{food}|after {money} hours|at night].",
            "But {he} did not know how to [help it|heal it|feed it].",
            "At night, it was [cold|very weak|hot], and {he} felt {sad}.",
        ),
        _told(
            "So {he} {went} to {fintro}, who lived {other_place}.",
            "{Fintro}, who lived {other_place}, knew a lot about animals.",
            "{He} remembered {fintro} {other_place} and ran there {quickly}.",
        ),
        _told(
            '"[Please help|Can you help us|I need you], {fcall}," said {h}. "This {creature} has a {injury}."',
            '"Let me see," said {f} {softly}. "[It needs rest|It needs warm milk|It will get better|It is not so bad]."',
        ),
        _told(
            '"Give it [milk|honey|seeds|water] {money} times a day," {f} said, "and [sing to it|keep it warm|let it sleep]."',
            "{F} tied the {injured} with a {color} ribbon and [sang|hummed|worked] {softly}.",
            "{F} made a [warm|sweet|green] drink that smelled of {smell}.",
        ),
        _told(
            "For {money} days, {h} [fed|watched|sang to] it and told it about {sight}.",
            "Every {morning}, {h} brought it [seeds|water|milk|leaves] and played {game} near its bed.",
            "{H} stayed near its bed and listened to {sound}.",
        ),
        _told(
            "On {days}, the {creature} opened its eyes and [ate|jumped|sang|stood up].",
            "Then, one {sky} {morning}, the {creature} was [well|strong|healthy] again.",
            "After {money} days, it could [walk|play|move] again and was {happy}.",
        ),
        _told(
            "It said goodbye and went back to {other_spot}.",
            '"You are free now," said {h}, {happy} and {sad} at the same time.',
            "{H} took it to {other_spot} and let it go.",
        ),
    ),
    (
        "But every {season}, the {creature} came back to {spot} to [see {him}|say hello|bring {him} a {color} stone].",
        "{H} learned that [small care can heal much|love is the best medicine|patience makes the weak strong].",
        "After that, everybody brought their [sick|hurt] animals to {h} and {f}.",
    ),
)

GARDEN = Plot(
    (
        _told(
            "That spring, {he} put a {seed} seed in the ground {other_place}.",
            "One {sky} {morning}, {fintro} gave {him} a seed. \"It is a {seed},\" {fhe} said.",
            "{H} found {money} seeds {hiding} and wanted to grow a {seed}.",
        ),
        _told(
            "Every {morning}, {he} gave it water from a {color} [cup|bucket|can] and [sang|talked] to it {softly}.",
            "{He} dug a hole with a {color} spoon and worked {quickly}.",
            "{He} put a {color} [fence|stone|flag] around it and waited.",
        ),
        _told(
            "But for {money} days, [nothing happened|nothing grew|there was only mud].",
            "But the {season} was [dry|cold|hot|wet], and [nothing grew|the leaves turned {color}].",
            "But a hungry {creature} [ate the leaves|dug a hole|sat on it].",
        ),
        _told(*FEELING),
        _told(
            "{Fintro} came [by|to see the garden|along the path] with [some {food}|a {color} {things}].",
            "{Fintro} saw {him} from {other_spot} and came over.",
        ),
        _told(
            '"[I water it every day|I did everything right|I waited {money} days], but my {seed} does not grow," said {h}.',
            '"My {seed} will never grow, {fcall}," {h} said.',
        ),
        _told(
            '"[Good things take time|Be patient|It needs sun|It needs better soil|A seed sleeps first], {hcall}," said {f}. "[Wait until {days}|Sing to it|Give it time|Let us move that {color} stone]."',
            '"I had a {seed} once," said {f} {softly}. "[It slept for {money} weeks|It needed sun|It grew in one night]."',
        ),
        _told(
            "So {h} waited. {He} [played {game_}|ate {food}|watched {sight}|listened to {sound}] and did not give up.",
            "They [pulled the weeds|carried water|built a little wall|moved the stones] and worked {quickly}.",
            "It rained for {money} hours, and then the sun came out.",
        ),
        _told(
            "On {days}, there was a tiny green leaf!",
            "And one {sky} {morning}, {he} saw something green next to {a_color_stone}.",
            "By {late_season}, the {seed} was as {big} as [a house|{f}|a cart|a door].",
        ),
        _told(
            '"[Look|Come quickly|See], {fcall}!" {h} cried {loudly}. "[It is growing|It is so {big}|It is alive]!"',
            "Everybody came from {spot} and {other_spot} to look at it.",
            "{H} gave some seeds of it to {f} and [to {his} mother|to all the neighbors|to a hungry {creature}].",
        ),
    ),
    (
        "{H} learned that [good things need time|a little water every day is enough|patience is the best garden tool].",
        "Next spring, {h} and {f} planted {money} more.",
        "{H} learned to wait, and that is [not easy|a great art|worth more than {money} coins].",
    ),
)

STORM = Plot(
    (
        _told(
            "One {season} night, a {big} storm came over {spot}.",
            "On {day}, the sky turned {color}, and there was {sound2}.",
            "The wind grew stronger and stronger. A storm was coming to {spot}.",
        ),
        _told(
            "It took [the roof|the chimney|a window|the door] of {home_short} and [a {color} {things}|{money} chairs|the fence].",
            "Rain came in [through the roof|under the door|at the window], and {his} {color} {things} was wet.",
            "A {big} tree fell on [the fence|the barn|the road|the little bridge].",
        ),
        _told(*FEELING),
        _told(
            "Then somebody knocked {money} times. It was {fintro}, {tired} and wet.",
            "Outside, {fintro} was looking for a dry place.",
            "{H} looked out and saw {fintro} {near_place}.",
        ),
        _told(
            '"May I come in, {hcall}?" asked {f}. "[My home is gone|I am so {tired}|The wind took my {color} {things}]."',
            '"Come in, {fcall}!" {h} called {loudly}. "[It is warm here|I have {food}|We can wait together]."',
            '"[Are you alone|Are you all right|Is anybody here], {hcall}?" called {f}.',
        ),
        _told(
            "They made a fire and ate {meal}, while {sound2} was all around.",
            "{F} held [the door|the window|a {tool_}], and {h} [carried the {things}|brought {food}|put a blanket in the hole].",
            "They sat close together, told stories about {sight}, and played {game_}.",
        ),
        _told(
            "In the morning, the sky was [clear|blue|golden] again, and {he} saw {sight}.",
            "At last, the storm was over. The air smelled of {smell}.",
            "After {money} hours, the wind [stopped|slept|went away].",
        ),
        _told(
            "With a {tool_} and {money} boards, they fixed [the roof|the wall|the door|the window] {quickly}.",
            "All the neighbors came with [a {tool_}|{food}|nails and boards], and they worked {quickly}.",
            '"[Let us fix your home first|We can build it again|Many hands make light work], {hcall}," said {f}.',
        ),
        _maybe(0.7, *THANKS),
    ),
    (
        "{H} learned that [a storm is smaller when you are two|after rain comes sun|good neighbors are the best roof].",
        "After that, whenever there was {sound2}, {h} and {f} [sat together|ate {food}|told stories].",
        "{F} stayed for {money} days, and then for always.",
    ),
)

NEW_FRIEND = Plot(
    (
        _told(
            "{H} was new {place} and [had no friends|knew nobody|did not know anyone].",
            "All the others played {game_}, but nobody asked {h}.",
            "{H} wanted a friend more than {food} or a {color} {things}.",
        ),
        _told(*FEELING),
        _told(
            '"[Go and say hello|Friends come when you smile|Take some {food} with you]," said {his} [mother|father|grandmother|grandfather|sister].',
            "{He} made a {color} [sign|flag] that said, \"[I want to play {game_}|Looking for a friend|Please say hello].\"",
            "{He} talked to {sight}, but that was not the same as a friend.",
        ),
        _told(
            "On {day}, {he} {went} to {other_spot}. There was {fintro}, all alone, with a {color_thing}.",
            "One {sky} {morning}, {fintro} sat {other_place} and [cried|sang {softly}|ate {food}|looked at {sight}].",
            "Then, one {sky} {morning}, {he} saw {fintro} trying to fly a {color} kite.",
        ),
        _told(
            "{H} was shy. {He} hid {hiding} and counted to {money}.",
            "{His} {body} shook, but {he} {went} closer.",
            "{H} wanted to run away, but {he} stayed.",
        ),
        _told(
            '"Hello," {h} said {softly}. "[Is that your {color_thing}|Do you like {food}|May I sit here|What are you doing]?"',
            '"[Would you like some {food}|Do you want to play {game_}|Can I help you]?" {he} asked {softly}.',
            '"[I am new here|I live in {home}|I have {food}]," said {h}. "Who are you?"',
        ),
        _told(
            '"[I was hoping that somebody would ask|I have no friends here|I like {food} too|Nobody ever asked me that]," said {f}.',
            '{F} looked up and smiled. "[Yes, please|I would love that|Sit down], {hcall}," {fhe} said.',
            '{F} laughed. "[You are funny|I know a game|I was shy too], {hcall}," {fhe} said.',
        ),
        _told(
            "They played {game_} until {sound2} called them home.",
            "They shared {meal} and talked about {sight} and {sight}.",
            "{F} showed {him} [a secret path|a {color_thing}|the best tree] {hiding}.",
        ),
        _maybe(0.5, *DETAIL),
        _told(
            '"[Will you come again on {days}|Are we friends now|Shall we play {game} next], {fcall}?" asked {h}.',
            '"See you on {days}, {hcall}!" {f} called {loudly}.',
            "Now {h} was not {sad} any more. {He} was {happy}.",
        ),
    ),
    (
        "{H} learned that [a friend may be shy too|one hello can change everything|you must open the door yourself].",
        "After that, they met {other_place} every {days_one}.",
        "And when somebody new came to {spot}, {h} was the first to say hello.",
    ),
)

PLOTS = (LOST_THING, LOST_WAY, STUCK, BAKING, BUILDING, FEAR, RACE, GIFT, SHARING, TRUTH, HURT, GARDEN, STORM, NEW_FRIEND)
