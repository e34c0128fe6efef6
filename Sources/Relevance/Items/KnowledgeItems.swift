import Tensors

/// Questions that take a fact and no steps: the capital of a country among four. They show which layers the
/// model needs for what it knows, beside those it needs for reasoning.
public enum KnowledgeItems {
    public static let name = "knowledge"

    /// Country and capital.
    static let capitals: [(country: String, capital: String)] = [
        ("France", "Paris"), ("Germany", "Berlin"), ("Italy", "Rome"), ("Spain", "Madrid"),
        ("Portugal", "Lisbon"), ("Greece", "Athens"), ("Austria", "Vienna"),
        ("Hungary", "Budapest"),
        ("Poland", "Warsaw"), ("Sweden", "Stockholm"), ("Norway", "Oslo"),
        ("Denmark", "Copenhagen"),
        ("Finland", "Helsinki"), ("Ireland", "Dublin"), ("Iceland", "Reykjavik"),
        ("Russia", "Moscow"),
        ("Ukraine", "Kyiv"), ("Belarus", "Minsk"), ("Latvia", "Riga"), ("Lithuania", "Vilnius"),
        ("Estonia", "Tallinn"), ("Romania", "Bucharest"), ("Bulgaria", "Sofia"),
        ("Serbia", "Belgrade"),
        ("Croatia", "Zagreb"), ("Slovenia", "Ljubljana"), ("Slovakia", "Bratislava"),
        ("Belgium", "Brussels"), ("Albania", "Tirana"), ("Cyprus", "Nicosia"),
        ("Malta", "Valletta"),
        ("Turkey", "Ankara"), ("Egypt", "Cairo"), ("Libya", "Tripoli"), ("Tunisia", "Tunis"),
        ("Algeria", "Algiers"), ("Morocco", "Rabat"), ("Sudan", "Khartoum"), ("Kenya", "Nairobi"),
        ("Uganda", "Kampala"), ("Rwanda", "Kigali"), ("Ghana", "Accra"), ("Nigeria", "Abuja"),
        ("Senegal", "Dakar"), ("Mali", "Bamako"), ("Ethiopia", "Addis Ababa"),
        ("Somalia", "Mogadishu"),
        ("Angola", "Luanda"), ("Zambia", "Lusaka"), ("Zimbabwe", "Harare"), ("Namibia", "Windhoek"),
        ("Mozambique", "Maputo"), ("Madagascar", "Antananarivo"), ("Israel", "Jerusalem"),
        ("Jordan", "Amman"), ("Lebanon", "Beirut"), ("Syria", "Damascus"), ("Iraq", "Baghdad"),
        ("Iran", "Tehran"), ("Saudi Arabia", "Riyadh"), ("Qatar", "Doha"), ("Oman", "Muscat"),
        ("Afghanistan", "Kabul"), ("Pakistan", "Islamabad"), ("India", "New Delhi"),
        ("Nepal", "Kathmandu"), ("Bangladesh", "Dhaka"), ("Sri Lanka", "Colombo"),
        ("China", "Beijing"),
        ("Mongolia", "Ulaanbaatar"), ("Japan", "Tokyo"), ("South Korea", "Seoul"),
        ("North Korea", "Pyongyang"), ("Taiwan", "Taipei"), ("Vietnam", "Hanoi"),
        ("Laos", "Vientiane"),
        ("Cambodia", "Phnom Penh"), ("Thailand", "Bangkok"), ("Malaysia", "Kuala Lumpur"),
        ("Indonesia", "Jakarta"), ("Philippines", "Manila"), ("Australia", "Canberra"),
        ("New Zealand", "Wellington"), ("Fiji", "Suva"), ("Canada", "Ottawa"),
        ("Mexico", "Mexico City"),
        ("Cuba", "Havana"), ("Jamaica", "Kingston"), ("Haiti", "Port-au-Prince"),
        ("Panama", "Panama City"),
        ("Nicaragua", "Managua"), ("Honduras", "Tegucigalpa"), ("Colombia", "Bogotá"),
        ("Venezuela", "Caracas"), ("Ecuador", "Quito"), ("Peru", "Lima"), ("Bolivia", "La Paz"),
        ("Chile", "Santiago"), ("Argentina", "Buenos Aires"), ("Uruguay", "Montevideo"),
        ("Paraguay", "Asunción"), ("Brazil", "Brasília"), ("Azerbaijan", "Baku"),
        ("Armenia", "Yerevan"),
        ("Georgia", "Tbilisi"), ("Kazakhstan", "Astana"), ("Uzbekistan", "Tashkent"),
    ]

    private static let wordings = [
        "The capital of %@ is", "The capital city of %@ is", "%@ is a country. Its capital is",
    ]

    /// The most questions there are.
    public static var most: Int { capitals.count * wordings.count }

    /// - Returns: at most `most` questions; those about one country belong to one group.
    public static func questions(
        _ count: Int, seed: UInt64
    ) -> [(question: TaskQuestion, group: String)] {
        var random = SplitMix64(seed: seed, stream: 2)
        func shuffled<Element>(_ values: [Element]) -> [Element] {
            var values = values
            for last in stride(from: values.count - 1, to: 0, by: -1) {
                values.swapAt(last, random.below(last + 1))
            }
            return values
        }
        var questions: [(question: TaskQuestion, group: String)] = []
        for (template, wording) in wordings.enumerated() {
            for place in shuffled(Array(capitals.indices)) where questions.count < count {
                let (country, capital) = capitals[place]
                var options = [capital]
                while options.count < 4 {
                    let other = capitals[random.below(capitals.count)].capital
                    if !options.contains(other) { options.append(other) }
                }
                options = shuffled(options)
                questions.append(
                    (
                        TaskQuestion(
                            context: wording.replacing("%@", with: country),
                            options: options.map { " " + $0 },
                            gold: options.firstIndex(of: capital) ?? 0, foil: nil,
                            template: template), country
                    ))
            }
        }
        return questions
    }
}
