/// What this package calls itself in the files it writes.
public enum Product {
    public static let version = "0.1.0"
    public static let createdBy = "etd-analyze \(version)"
}
