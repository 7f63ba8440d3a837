"""The vocabulary of the stories: pools of words that may replace one another.

A pool's name in lower case is a slot in every template: `{happy}` is a fresh
draw from HAPPY. Words that begin with a vowel letter but not a vowel sound
("unicorn") are left out, so that "a" or "an" follows from the first letter.
"""


def _words(text: str) -> tuple[str, ...]:
    """Split a comma-separated list; entries may contain spaces."""
    return tuple(" ".join(entry.split()) for entry in text.split(",") if entry.strip())


GIRLS = _words("""Anna, Mia, Lily, Rosa, Nora, Ella, Clara, Ida, Maya, Zoe, Ruth, Alma, Tess, Hana, Sofia,
    Leila, Wren, June, Greta, Amina, Ivy, Stella, Olga, Penny, Dora, Vera, Kiki, Elsa, Molly, Freya""")
BOYS = _words("""Tom, Ben, Max, Sam, Leo, Finn, Omar, Hugo, Otto, Jack, Noah, Theo, Emil, Kofi, Luca,
    Ravi, Oscar, Felix, Milo, Anton, Jonas, Paul, Simon, Ali, Victor, Henry, Peter, Niko, Carl, Adam""")
ANIMAL_NAMES_SHE = _words("""Pippa, Daisy, Hazel, Poppy, Luna, Ruby, Tilly, Willow, Coco, Bella, Minnie, Olive,
    Nutmeg, Dotty, Flora, Misty, Pearl, Honey, Juno, Fern""")
ANIMAL_NAMES_HE = _words("""Pip, Bramble, Rusty, Barley, Tobi, Moss, Biscuit, Bruno, Chip, Ziggy, Oakley, Bertie,
    Pepper, Rolo, Scout, Thistle, Umber, Dusty, Waldo, Grumble""")

SPECIES = _words("""fox, rabbit, bear, mouse, owl, squirrel, hedgehog, duck, cat, dog, frog, badger, deer, goat,
    lamb, pig, pony, otter, beaver, turtle, wolf, crow, robin, goose, donkey, mole, raccoon, hen, swan, bat,
    kitten, puppy, snail, sparrow, tiger, lion, elephant, monkey, penguin, seal""")
YOUNG = _words("little, young, small, brave, shy, clever, curious, cheerful, gentle, playful, tiny, quiet, lively, sleepy, proud")
KIND = _words("kind, old, wise, friendly, gentle, patient, helpful, jolly, calm, merry, clever, strong")
MEN = _words("farmer, baker, miller, shepherd, sailor, gardener, woodcutter, fisherman, king, tailor, postman, carpenter, blacksmith, painter")
WOMEN = _words("farmer, baker, teacher, gardener, weaver, doctor, queen, shopkeeper, painter, nurse, beekeeper, singer, potter, librarian")

PLACES = _words("""in the forest, by the river, on the hill, near the lake, in the meadow, by the sea, in the valley,
    beside the pond, near the old mill, in the village, on the farm, near the bridge, in the garden, by the waterfall,
    in the orchard, behind the barn, near the castle, on the island, by the lighthouse, in the park,
    near the tall pines, by the stone wall, in the wheat field, beside the road, under the great oak,
    near the market, by the harbor, on the mountain, in the little town, near the school""")
HIDING = _words("""under the stairs, behind a bush, inside an old log, under a pile of leaves, in the tall grass,
    between two rocks, at the bottom of a basket, behind the kitchen door, under the bench, in a bird's nest,
    near the well, on top of the fence, in the hay, beside a rabbit hole, under the bed, beneath a mossy stone,
    in a muddy puddle, behind the flower pots, at the edge of the water, on the window sill""")
HOMES = _words("""a small house, a cozy cave, a little cottage, a warm den, a round hut, a hollow tree, a tidy cabin,
    a red barn, a tiny house with a green door, a house with a crooked chimney, a wooden hut, a snug burrow,
    a white house with blue windows, an old tent, a stone tower""")

COLOR = _words("""red, blue, green, yellow, purple, orange, pink, white, brown, silver, golden, shiny, tiny, old,
    pretty, striped, bright, painted, gray, round""")
THING = _words("""kite, ball, bell, drum, scarf, hat, lantern, basket, whistle, button, ring, key, shell, cup, spoon,
    doll, flute, book, map, coin, mitten, blanket, umbrella, feather, marble, bucket, brush, ribbon, box, necklace,
    clock, violin, cap, teapot, pebble, wagon, mirror, pillow, puppet, boat, stone, candle, flag, horn""")
FOOD = _words("""warm bread, fresh berries, carrot soup, apple pie, plum jam, soft cheese, pancakes, sweet porridge,
    pumpkin soup, blueberry muffins, ginger cookies, roasted chestnuts, sweet corn, honey cakes, ripe pears,
    lemon tart, cherry pudding, baked potatoes, oat biscuits, walnuts, strawberries, noodles, rice cakes,
    buttered toast, peach pie, vegetable stew, cold milk and cookies, hot tea and cake""")
FLAVOR = _words("apple, plum, honey, carrot, cherry, lemon, pumpkin, blueberry, pear, walnut, peach, ginger, strawberry, raspberry, coconut, cinnamon")
DISH = _words("cake, pie, pudding, tart, loaf, muffin, pancake, biscuit, pastry")
CRAFT = _words("""raft, bird house, tree house, sled, wooden bridge, swing, scarecrow, windmill, small boat, rocking chair,
    wagon, snow castle, stone wall, bench, treasure chest, paper lantern, big drum, bookshelf, garden gate, toy train""")
PART = _words("wheel, rope, roof, wall, handle, corner, bottom, top, left side, last piece, front, back")
TOOL = _words("rope, long branch, ladder, plank, strong vine, blanket, shovel, wooden pole, fishing net, garden rake, walking stick, old sheet")
PLANT = _words("""sunflower, pumpkin, apple tree, bean plant, rose bush, cherry tree, tomato plant, carrot, cabbage,
    melon, tulip, pear tree, strawberry plant, lemon tree, turnip, daisy""")
GAME = _words("""hide and seek, tag, ball, leap frog, pirates, a guessing game, cards, marbles, catch, a singing game,
    a counting game, kings and queens, jump rope, checkers""")
PET_BIRD = _words("sparrow, robin, duckling, swallow, blue jay, dove, chick, finch, seagull, crow")
PET_FURRY = _words("kitten, lamb, puppy, rabbit, squirrel, hedgehog, mouse, foal, calf, baby goat, fawn, piglet")
TRAP = _words("""in the mud, in a deep hole, under a fallen branch, behind a heavy gate, on a narrow ledge,
    in a thorny bush, on the roof of the barn, in a tangled net, on a rock in the stream, between two fence posts,
    in an empty barrel, at the top of a tall tree, in the deep snow, under an old cart""")

MORNING = _words("morning, afternoon, evening, day")
SKY = _words("""sunny, windy, rainy, cold, warm, foggy, cloudy, snowy, bright, gray, frosty, hot, quiet, chilly, golden,
    stormy, fresh, clear""")
SEASON = _words("spring, summer, autumn, winter")
HAPPY = _words("happy, glad, proud, cheerful, delighted, joyful, pleased, thankful, excited, thrilled")
SAD = _words("sad, worried, upset, unhappy, lonely, gloomy, sorry, troubled, miserable")
TIRED = _words("tired, hungry, cold, thirsty, sleepy, dizzy, weary, wet, dusty")
SOFTLY = _words("softly, kindly, quietly, gently, slowly, warmly, calmly, sweetly, thoughtfully, with a smile")
LOUDLY = _words("loudly, happily, proudly, merrily, brightly, cheerfully, with joy, with a big grin")
QUICKLY = _words("quickly, carefully, slowly, bravely, eagerly, quietly, patiently, steadily, cheerfully, at once")
LOOKED = _words("looked, searched, hunted")
WENT = _words("went, walked, ran, hurried, wandered, skipped, marched, strolled, rushed")
BIG = _words("big, huge, large, great, enormous, giant, mighty")
SOUND = _words("""the wind in the trees, a bell far away, an owl, the rain on the roof, a soft knock, a strange noise,
    somebody singing, a dog barking, the church clock, a stream, a tiny voice, the bees in the flowers,
    thunder behind the hills, the waves, a cart on the road, crickets, a crow laughing, footsteps""")
SMELL = _words("fresh bread, wet leaves, wild flowers, salt and sand, wood smoke, ripe apples, cut grass, mint, old books, pine trees")
SIGHT = _words("""a rainbow, a line of ants, two white butterflies, a yellow moon, the first star, a boat with red sails,
    a field of poppies, a cloud like a whale, a spider web full of dew, three geese, a shooting star, a falling leaf,
    a silver fish, a row of tiny mushrooms, a bright beetle, the long shadow of a tree, a farmer with a cart,
    a sleepy cow""")
BODY = _words("heart, voice, chin, whole body, knees")
HELPFUL = _words("honest, patient, brave, kind, careful, gentle, helpful, generous, thoughtful, polite")
MONEY = _words("two, three, four, five, six, seven, eight, nine, ten, twelve, twenty")
DAYS = _words("Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday")
