import CKernels
import Tensors

/// What this package calls itself in the files it writes.
public enum Product {
    public static let version = "0.1.0"
    public static let createdBy = "etd-analyze \(version)"

    /// Of this package, of the libraries that compute, and of its own kernels, by name.
    static var versions: [String: String] {
        let level = etd_cpu_level_name(etd_cpu_level()).map { String(cString: $0) } ?? "unknown"
        return [
            "etd-analyze": version, "openblas": MatrixProduct.blasVersion,
            "onednn": Arithmetic.oneDNNVersion ?? "none", "kernels": level,
        ]
    }
}
