/// Values of several series at each position of one document, kept until it is known which positions are
/// sinks; nil where a value is undefined.
///
/// Memory: 16 bytes for each series and position of the longest document, of which a model's keys and
/// values take several times as much as all series together.
struct PositionValues {
    private let room: Int
    /// [series][room]
    private var values: [Double?]

    /// - Parameter room: positions of the longest document.
    init(series: Int, room: Int) {
        self.room = room
        values = Array(repeating: nil, count: series * room)
    }

    /// What an earlier document left stands here until it is written.
    subscript(series: Int, position: Int) -> Double? {
        get { values[series * room + position] }
        set { values[series * room + position] = newValue }
    }

    /// The sum of the defined values in order of positions, and how many there are.
    /// - Parameter leftOut: for each position of the document whether to pass over it; none when nil.
    func sum(
        _ series: Int, _ positions: Range<Int>, without leftOut: [Bool]? = nil
    ) -> (sum: Double, count: Double) {
        var sum = 0.0
        var count = 0.0
        for position in positions {
            if let leftOut, leftOut[position] { continue }
            guard let value = values[series * room + position] else { continue }
            sum += value
            count += 1
        }
        return (sum, count)
    }
}
