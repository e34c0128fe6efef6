import CHDF5
import Files
import Foundation

/// The HDF5 library, set up once.
package enum HDF5 {
    /// Evaluated before the first call of any other function.
    private static let started: Void = etd_h5_start()

    static func start() {
        _ = started
        etd_h5_silence()
    }

    /// The library's words for the last failure of this thread, cut to what helps.
    static var reason: String {
        var buffer = [CChar](repeating: 0, count: 1024)
        etd_h5_last_error(&buffer, buffer.count)
        let text = String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self)
        // A system call's failure carries the system's words among offsets and times.
        if let start = text.range(of: "error message = '"),
            let end = text.range(of: "'", range: start.upperBound..<text.endIndex)
        {
            return String(text[start.upperBound..<end.lowerBound])
        }
        return text.isEmpty ? "the HDF5 library gives no reason" : text
    }
}

/// What an HDF5 file stores in a data set.
package enum HDF5Type: Equatable, Sendable {
    case float32, float16, float64, int32, int64, uint16
    /// Fixed length in bytes.
    case string(Int)
    /// UTF-8 of any length.
    case text

    /// A type of the library's; the handle closes it where it is a copy.
    func handle(_ path: String) throws(ActivationError) -> HDF5Handle {
        HDF5.start()
        var isCopy = false
        let id: hid_t
        switch self {
        case .float32: id = etd_h5_f32()
        case .float64: id = etd_h5_f64()
        case .int32: id = etd_h5_i32()
        case .int64: id = etd_h5_i64()
        case .uint16: id = etd_h5_u16()
        case .float16:
            id = etd_h5_copy_f16()
            isCopy = true
        case .string(let size):
            id = etd_h5_copy_string(size)
            isCopy = true
        case .text:
            id = etd_h5_copy_string(0)
            isCopy = true
        }
        return try HDF5Handle(id, path, "type", close: isCopy ? { H5Tclose($0) } : { _ in 0 })
    }
}

/// A Swift type that can be read into and written from.
package protocol HDF5Scalar: BitwiseCopyable {
    static var memoryType: hid_t { get }
    static var storedType: HDF5Type { get }
}

extension Float: HDF5Scalar {
    package static var memoryType: hid_t { etd_h5_native_float() }
    package static var storedType: HDF5Type { .float32 }
}
extension Double: HDF5Scalar {
    package static var memoryType: hid_t { etd_h5_native_double() }
    package static var storedType: HDF5Type { .float64 }
}
extension Int32: HDF5Scalar {
    package static var memoryType: hid_t { etd_h5_native_int32() }
    package static var storedType: HDF5Type { .int32 }
}
extension Int64: HDF5Scalar {
    package static var memoryType: hid_t { etd_h5_native_int64() }
    package static var storedType: HDF5Type { .int64 }
}
extension UInt16: HDF5Scalar {
    package static var memoryType: hid_t { etd_h5_native_uint16() }
    package static var storedType: HDF5Type { .uint16 }
}

/// An identifier of the library's, closed when this object goes.
package final class HDF5Handle: @unchecked Sendable {
    let id: hid_t
    private let close: (hid_t) -> herr_t

    /// - Throws: `.hdf5` if `id` is the library's sign of failure.
    init(
        _ id: hid_t, _ path: String, _ place: String, _ operation: String = "make",
        close: @escaping (hid_t) -> herr_t
    ) throws(ActivationError) {
        guard id >= 0 else {
            throw .hdf5(path: path, place: place, operation: operation, reason: HDF5.reason)
        }
        self.id = id
        self.close = close
    }

    deinit { _ = close(id) }
}

/// Throws what the library says if a call failed.
func check(
    _ status: herr_t, _ path: String, _ place: String, _ operation: String
) throws(ActivationError) {
    guard status >= 0 else {
        throw .hdf5(path: path, place: place, operation: operation, reason: HDF5.reason)
    }
}

/// A file: created new, or opened for reading. Times are not recorded, so that equal content is equal
/// bytes. The library's own file locks are off (many cluster file systems lack them); who may write is
/// `DumpTarget`'s matter.
package final class HDF5File {
    package let path: String
    package let root: HDF5Group
    private var id: hid_t

    /// Creates `path`, replacing a file of that name.
    package static func create(_ path: String) throws(ActivationError) -> HDF5File {
        HDF5.start()
        let creation = try HDF5Handle(etd_h5_file_creation(), path, "", close: H5Pclose)
        H5Pset_obj_track_times(creation.id, false)
        let access = try access(path)
        // Closing then closes what is still open in it, and ends the file's mark of being written: a
        // process that is killed once the file has its name leaves one that opens.
        H5Pset_fclose_degree(access.id, H5F_CLOSE_STRONG)
        let id = etd_h5_create_file(path, creation.id, access.id)
        guard id >= 0 else {
            throw .hdf5(path: path, place: "", operation: "create", reason: HDF5.reason)
        }
        return try HDF5File(path: path, id: id)
    }

    /// Opens `path` for reading.
    package static func open(_ path: String) throws(ActivationError) -> HDF5File {
        HDF5.start()
        // The library's words for a file that is not there are many; the system's are few.
        do { _ = try FileProbe.check(path) } catch { throw .file(error) }
        guard H5Fis_hdf5(path) > 0 else {
            throw .invalid(
                path: path, problem: "is not an HDF5 file, or is cut off at its beginning")
        }
        let access = try access(path)
        let id = etd_h5_open_file(path, access.id)
        guard id >= 0 else {
            let reason = HDF5.reason
            guard reason.hasPrefix("truncated file") else {
                throw .hdf5(path: path, place: "", operation: "open", reason: reason)
            }
            throw .invalid(
                path: path,
                problem: "is truncated: it is shorter than it says it is; copy or make it again")
        }
        return try HDF5File(path: path, id: id)
    }

    private static func access(_ path: String) throws(ActivationError) -> HDF5Handle {
        let access = try HDF5Handle(etd_h5_file_access(), path, "", close: H5Pclose)
        H5Pset_libver_bounds(access.id, H5F_LIBVER_V110, H5F_LIBVER_V110)
        H5Pset_file_locking(access.id, false, true)
        return access
    }

    private init(path: String, id: hid_t) throws(ActivationError) {
        self.path = path
        self.id = id
        let group = try HDF5Handle(H5Gopen2(id, "/", 0), path, "/", "open", close: H5Gclose)
        root = HDF5Group(path: path, name: "", handle: group)
    }

    /// Writes out what the library holds back, and ends the use of everything opened from a file that
    /// was created. A reader needs not call this.
    package func close() throws(ActivationError) {
        guard id >= 0 else { return }
        try check(H5Fflush(id, H5F_SCOPE_LOCAL), path, "", "write")
        let closing = id
        id = -1
        try check(H5Fclose(closing), path, "", "write")
    }

    deinit { if id >= 0 { H5Fclose(id) } }
}

enum FileProbe {
    /// Whether the file can be opened for reading.
    static func check(_ path: String) throws(FileError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw .system(
                path: path, operation: "open", reason: String(cString: strerror(errno)))
        }
        close(descriptor)
    }
}

/// What groups and data sets have in common: a name and attributes.
package class HDF5Object {
    package let path: String
    /// From the root, without a leading slash; empty for the root.
    package let name: String
    let handle: HDF5Handle

    init(path: String, name: String, handle: HDF5Handle) {
        self.path = path
        self.name = name
        self.handle = handle
    }

    var id: hid_t { handle.id }

    private func place(_ attribute: String) -> String {
        "attribute \(attribute)\(name.isEmpty ? "" : " of \(name)")"
    }

    package func hasAttribute(_ name: String) -> Bool { H5Aexists(id, name) > 0 }

    private func write(
        _ name: String, type: HDF5Handle, memory: hid_t, count: Int?, _ values: UnsafeRawPointer
    ) throws(ActivationError) {
        let place = place(name)
        // A value that is set again replaces the old one.
        if hasAttribute(name) { try check(H5Adelete(id, name), path, place, "replace") }
        let space: hid_t
        if let count {
            var size = [hsize_t(count)]
            space = H5Screate_simple(1, &size, nil)
        } else {
            space = H5Screate(H5S_SCALAR)
        }
        let shape = try HDF5Handle(space, path, place, close: H5Sclose)
        let attribute = try HDF5Handle(
            H5Acreate2(id, name, type.id, shape.id, 0, 0), path, place, "create", close: H5Aclose)
        try check(H5Awrite(attribute.id, memory, values), path, place, "write")
    }

    /// A text; readers in Python get a `str`.
    package func set(_ name: String, _ text: String) throws(ActivationError) {
        let type = try HDF5Type.text.handle(path)
        var copy = Array(text.utf8CString)
        var failure: ActivationError?
        copy.withUnsafeMutableBufferPointer { buffer in
            var pointer = buffer.baseAddress
            do throws(ActivationError) {
                try write(name, type: type, memory: type.id, count: nil, &pointer)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
    }

    package func set(_ name: String, _ value: Int64) throws(ActivationError) {
        var value = value
        let type = try HDF5Type.int64.handle(path)
        try write(name, type: type, memory: Int64.memoryType, count: nil, &value)
    }

    package func set<T: HDF5Scalar>(_ name: String, _ values: [T]) throws(ActivationError) {
        let type = try T.storedType.handle(path)
        // An empty array has no address, and the library wants one.
        var failure: ActivationError?
        values.withUnsafeBytes { bytes in
            var nothing = 0
            withUnsafeBytes(of: &nothing) { empty in
                do throws(ActivationError) {
                    try write(
                        name, type: type, memory: T.memoryType, count: values.count,
                        bytes.baseAddress ?? empty.baseAddress!)
                } catch {
                    failure = error
                }
            }
        }
        if let failure { throw failure }
    }

    private func open(_ name: String) throws(ActivationError) -> HDF5Handle {
        guard hasAttribute(name) else {
            let owner = self.name.isEmpty ? "the file" : self.name
            throw .invalid(
                path: path, problem: "\(owner) has no attribute \(name.quotedForMessage)")
        }
        return try HDF5Handle(H5Aopen(id, name, 0), path, place(name), "open", close: H5Aclose)
    }

    /// A text attribute.
    package func text(_ name: String) throws(ActivationError) -> String {
        let attribute = try open(name)
        let stored = try HDF5Handle(
            H5Aget_type(attribute.id), path, place(name), "read", close: H5Tclose)
        let space = try HDF5Handle(
            H5Aget_space(attribute.id), path, place(name), "read", close: H5Sclose)
        guard H5Tget_class(stored.id) == H5T_STRING, H5Tis_variable_str(stored.id) > 0,
            H5Sget_simple_extent_npoints(space.id) == 1
        else {
            throw .invalid(path: path, problem: "\(place(name)) is not a text")
        }
        let type = try HDF5Type.text.handle(path)
        var pointer: UnsafeMutablePointer<CChar>?
        try check(H5Aread(attribute.id, type.id, &pointer), path, place(name), "read")
        defer { _ = etd_h5_free_strings(type.id, space.id, &pointer) }
        return pointer.map { String(cString: $0) } ?? ""
    }

    /// A numeric attribute's values; one for a scalar.
    package func values<T: HDF5Scalar & ExpressibleByIntegerLiteral>(
        _ name: String, as type: T.Type = T.self
    ) throws(ActivationError) -> [T] {
        let attribute = try open(name)
        let stored = try HDF5Handle(
            H5Aget_type(attribute.id), path, place(name), "read", close: H5Tclose)
        let kind = H5Tget_class(stored.id)
        guard kind == H5T_INTEGER || kind == H5T_FLOAT else {
            throw .invalid(path: path, problem: "\(place(name)) is not a number")
        }
        let space = try HDF5Handle(
            H5Aget_space(attribute.id), path, place(name), "read", close: H5Sclose)
        let count = Int(H5Sget_simple_extent_npoints(space.id))
        guard count > 0 else { return [] }
        // Attributes live in memory whole; more than this is not one of ours.
        guard count <= 1 << 24 else {
            throw .invalid(path: path, problem: "\(place(name)) has \(count) values")
        }
        var values = [T](repeating: 0, count: count)
        try check(H5Aread(attribute.id, T.memoryType, &values), path, place(name), "read")
        return values
    }

    package func integer(_ name: String) throws(ActivationError) -> Int {
        let values = try values(name, as: Int64.self)
        guard values.count == 1 else {
            throw .invalid(path: path, problem: "\(place(name)) is not one number")
        }
        return Int(values[0])
    }
}
