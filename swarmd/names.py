"""A pleasant name for each peer, such as brisk-otter, so that people can tell peers apart.

The name follows from the peer id alone and is the same on every machine. It is for the eye: there are 65,536
names, so two peers of a large swarm may share one, and anyone can make a key whose name is that of another.
Show it beside the id, and let nothing depend on it.
"""

from __future__ import annotations

import hashlib

_FIRST_WORDS = """
    able agile airy alert alpine amber ample apt arctic ardent artful astute atomic autumn azure balmy
    beaming blithe bold bonny bouncy brave breezy bright brisk bronze bubbly busy calm candid caring
    casual cheery chief chipper civil clean clear clever coastal comfy cool copper cosmic cosy crafty
    crisp curious dainty dapper daring dawn deep deft denim dewy direct downy dreamy dusky eager early
    earnest easy elegant emerald epic equal even exact fabled fair famous fancy fast feisty fine firm
    fleet floral fluent fluffy frank free fresh frosty funny fuzzy gallant genial gentle giddy gifted glad
    gleaming golden good graceful grand grassy great green happy hardy hazel hearty helpful hidden hilly
    honest humble icy ideal indigo ivory jade jaunty jazzy jolly jovial joyful keen kind kindly lapis
    large leafy level light lilac lively loyal lucid lucky lunar lush magic maple marble marine mellow
    merry mighty mild mindful minty misty modest mossy native navy neat nifty nimble noble novel oaken
    olive opal open orange patient peachy pearly peppy perky placid playful plucky plum poetic polar
    polite prime proper proud pure quaint quick quiet radiant rapid ready regal robust rosy ruby rugged
    rural rustic sandy scarlet secure serene shady sharp shiny silent silken silver simple sincere sleek
    smart smooth snappy snowy snug social soft solar solid sonic spry stable starry steady stellar stout
    strong sturdy sunlit sunny super supple sure tame tawny tender thankful thrifty tidal tidy topaz trim
    true trusty upbeat urban valiant vast velvet verbal vernal violet vital vivid warm wavy wise witty
    woody worthy young zesty zippy
"""
_SECOND_WORDS = """
    albatross alpaca ant anteater antelope avocet badger barbet bat beagle bear beaver bee beetle bison
    bittern boar bobcat bongo buffalo bulbul bunting bustard buzzard camel canary capybara caracal
    cardinal caribou cat cheetah chough cicada civet collie condor coot coral corgi cormorant cougar
    coyote crab crane cricket crow cuckoo curlew deer dingo dipper dog dolphin dormouse dove dragonfly
    duck dunlin dunnock eagle echidna eel egret eider elephant elk emu ermine falcon ferret finch firefly
    flamingo fox frog gannet gazelle gecko gerbil gibbon giraffe gnu goat godwit goldfinch goose gopher
    goshawk grebe grouse gull guppy hamster hare harrier hawk hedgehog heron herring hippo hoopoe horse
    ibex ibis iguana impala jacana jackdaw jaguar jay jerboa kakapo kangaroo kestrel kingfisher kite kiwi
    koala kudu ladybird lapwing lark lemming lemur leopard limpet linnet lion lizard llama lobster loon
    lynx macaw magpie mallard manatee manta marlin marmot marten martin meerkat merlin minnow mole
    mongoose moose moth mouse myna narwhal newt nightjar numbat nuthatch ocelot octopus okapi opossum orca
    oriole oryx osprey ostrich otter owl panda pangolin panther parrot partridge pelican penguin perch
    petrel pheasant pigeon pike pipit platypus plover polecat pony porpoise puffin puma quail quetzal
    quokka rabbit raccoon raven ray redstart reindeer rhino robin rook ruff sable salmon sandpiper
    seahorse seal serval shrike siskin skate skink skua skylark sloth snail snipe sparrow spoonbill squid
    squirrel starling stilt stoat stork sturgeon swallow swan swift tanager tapir teal tern terrier thrush
    tiger toad tortoise toucan trout turaco turtle urchin vole wagtail walrus warbler waxwing whale wigeon
    wolf wombat woodcock woodpecker wren yak zebra
"""
"""256 words each: one byte chooses one word. A word is never moved, added or removed: names would change."""

_FIRST, _SECOND = _FIRST_WORDS.split(), _SECOND_WORDS.split()


def name_of(peer_id: str) -> str:
    """Like brisk-otter. Any text has a name; for a peer id it is the peer's."""
    digest = hashlib.sha256(b"swarmd peer name 1\0" + peer_id.encode()).digest()
    return f"{_FIRST[digest[0]]}-{_SECOND[digest[1]]}"


def named(peer_id: str) -> str:
    """Name and the end of the id, like brisk-otter …kM33Kk: peers that share a name stay apart."""
    return f"{name_of(peer_id)} …{peer_id[-6:]}"
