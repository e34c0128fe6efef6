/// The words that generated tasks put into their wordings. A split gets its own part of each list
/// (`TaskDraw.own`), so no word of a test example was seen in training.
enum Words {
    static func list(_ text: String) -> [String] { text.split(separator: " ").map(String.init) }

    /// 50 first names.
    static let people = list(
        """
        Anna Bernd Clara David Elena Felix Greta Henry Irene Jonas Karla Lukas Maria Niklas Olga Peter \
        Rosa Simon Tilda Victor Wanda Xavier Yusuf Zara Alan Beth Carlos Diana Emil Fiona Gustav Hanna \
        Ivan Julia Kevin Laura Martin Nora Oscar Paula Quinn Rita Stefan Tanja Ulrich Vera Walter Yvonne \
        Adam Berta
        """)

    /// 40 things that can be counted.
    static let countables = list(
        """
        apples coins stones cards pens books shells keys nuts beads plums stamps bricks cups plates \
        candles buttons ribbons nails bolts pears lemons marbles tickets spoons forks bottles boxes \
        baskets ropes figs dates bells masks hats scarves drums flags kites maps
        """)

    /// 50 names of variables.
    static let variables = list(
        """
        alpha bravo delta echo kilo lima metro nova omega polar quartz radar sigma tango ultra vector \
        whale xenon yacht zebra amber birch cedar daisy ember fern grape hazel iris jade koala lotus \
        maple nectar olive pearl raven tulip umber violet acorn basil cobalt dune elm flint gull heron \
        ivory jasper
        """)

    /// 50 plural nouns that mean nothing.
    static let nonsense = list(
        """
        wugs blickets daxes toomas gazzers fendles modis zarps plonks glorps borks cheems dwibs floops \
        grebbles hinters jabbers kreels lumbos mimsies nobbins orks pabbles quibs rorbs snorgs trebs \
        ulbins vorps wimbles yabbos zibbits brillos crobs dazzits ebbins frobs gimbles hobbets iggles \
        joobs klaxos lerps morfles neebs ogglets prinks quazzes rimples skeets
        """)

    /// 30 things that take place on a day.
    static let events = list(
        """
        meeting concert market lecture dinner match wedding parade exam auction festival trial workshop \
        picnic rehearsal seminar tour banquet regatta recital debate hearing harvest sale ballet contest \
        gala fair reading summit
        """)

    /// 90 common words of three to ten letters, mixed so that every part has every length.
    static let common = list(
        """
        sun river morning cat garden mountain map stone harvest tree winter blanket dog yellow kitchen \
        cup silver journey wind bridge teacher hat market village ship carpet evening box forest holiday \
        lake engine picture rain window history key orange machine bird planet silence fire basket \
        thunder door pencil captain leaf summer freedom road castle library salt island weather milk \
        anchor chapter hill rocket diamond pen ladder feather ice copper lantern farm tunnel \
        orchestra boat saddle compass sand velvet monster wall branch railway song meadow notebook coat \
        harbor printer fish magnet
        """)

    /// 50 capitalised words.
    static let capitalised = list(
        """
        London Africa Monday Danube Venus Berlin Pacific Tuesday Everest Paris Amazon March Saturn Tokyo \
        Europe April Jupiter Madrid Asia Friday Nile Mercury Vienna June Sahara Prague Texas October Mars \
        Lisbon Alaska July Neptune Dublin Sweden August Uranus Athens Norway Sunday Poland Geneva Brazil \
        Oxford Canada Munich Kenya Naples Mexico Cairo
        """)

    static let punctuation = list(". , ; : ! ? - + * / = % & # @")
    static let numbers = (10...69).map(String.init)
    static let weekdays = list("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
    static let cues = list("red blue green black")
}
