import Checkpoints
import Corpus
import Files
import Models
import Plans

/// Why a training cannot begin or go on.
public enum TrainingError: Error, CustomStringConvertible {
    /// A value of the forward pass is NaN or infinite; `place` is the first layer where one is.
    case nonFinite(place: String)

    public var description: String {
        switch self {
        case .nonFinite(let place): "NaN or Inf first appears at \(place)"
        }
    }
}
