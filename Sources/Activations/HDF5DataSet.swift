import CHDF5
import Files
import Foundation

/// An array in a file. Ranges are given as a start and a count for each dimension.
package final class HDF5DataSet: HDF5Object {
    package let shape: [Int]
    /// nil where the data set is one piece, or virtual.
    package let chunk: [Int]?
    package let isVirtual: Bool
    /// What a virtual data set's content stands in: files named relative to this one, in folders below
    /// its own, and a data set of each.
    package let sources: [(file: String, dataSet: String)]
    /// Whether chunks are stored filtered, such as deflated.
    package let isFiltered: Bool
    private let type: HDF5Handle
    private let space: HDF5Handle

    init(path: String, name: String, set handle: HDF5Handle) throws(ActivationError) {
        let type = try HDF5Handle(H5Dget_type(handle.id), path, name, "read", close: H5Tclose)
        let creation = try HDF5Handle(
            H5Dget_create_plist(handle.id), path, name, "read", close: H5Pclose)
        // Before anything looks at the content: a file from a stranger must not make this process read
        // other files than its own parts.
        guard H5Pget_external_count(creation.id) == 0 else {
            throw .invalid(
                path: path,
                problem:
                    "\(name) keeps its values in another file, which a dump from elsewhere could "
                    + "make any file; write it as a dump of its own (h5repack)")
        }
        let layout = H5Pget_layout(creation.id)
        isVirtual = layout == H5D_VIRTUAL
        sources = isVirtual ? try Self.sources(creation, path: path, name: name) : []
        let space = try HDF5Handle(H5Dget_space(handle.id), path, name, "read", close: H5Sclose)
        let rank = Int(H5Sget_simple_extent_ndims(space.id))
        guard rank >= 0 else { throw .invalid(path: path, problem: "\(name) is not an array") }
        var sizes = [hsize_t](repeating: 0, count: rank)
        if rank > 0 { H5Sget_simple_extent_dims(space.id, &sizes, nil) }
        self.type = type
        self.space = space
        shape = sizes.map { Int(clamping: $0) }
        if layout == H5D_CHUNKED {
            H5Pget_chunk(creation.id, Int32(rank), &sizes)
            chunk = sizes.map { Int(clamping: $0) }
        } else {
            chunk = nil
        }
        isFiltered = H5Pget_nfilters(creation.id) > 0
        super.init(path: path, name: name, handle: handle)
    }

    /// Elements; the largest number where they are beyond it.
    package var count: Int { shape.checkedProduct ?? .max }

    /// The elements of a part of this shape, for which memory of `bytes` each is to be taken.
    /// - Throws: `.invalid` where the file claims more than this process can hold.
    package func size(of shape: [Int], bytes: Int) throws(ActivationError) -> Int {
        let needed = (shape + [bytes]).checkedProduct ?? .max
        // Files can claim any shape: what was never written takes no room in them.
        if needed > 64 << 20, let available = AvailableMemory.bytes, needed > available {
            throw .invalid(
                path: path,
                problem: "\(name) has shape \(self.shape); to read it takes "
                    + "\(AvailableMemory.text(needed)), and \(AvailableMemory.text(available)) are "
                    + "available")
        }
        return shape.checkedProduct ?? 0
    }

    /// Bytes of one stored element.
    package var elementSize: Int { H5Tget_size(type.id) }

    /// Bytes that the file spends on it; 0 for a virtual data set.
    package var storedBytes: Int { Int(clamping: H5Dget_storage_size(id)) }

    /// Whether the elements are stored as `wanted`.
    package func holds(_ wanted: HDF5Type) throws(ActivationError) -> Bool {
        if case .text = wanted {
            return H5Tget_class(type.id) == H5T_STRING && H5Tis_variable_str(type.id) > 0
        }
        // Bound to a name: a type that nobody holds would be closed before it is compared.
        let other = try wanted.handle(path)
        return withExtendedLifetime(other) { H5Tequal(type.id, other.id) > 0 }
    }

    package var isText: Bool { H5Tget_class(type.id) == H5T_STRING }
    package var isInteger: Bool { H5Tget_class(type.id) == H5T_INTEGER }

    /// The selection of a range in the file and in memory.
    private func selection(
        _ start: [Int], _ count: [Int]
    ) throws(ActivationError) -> (file: HDF5Handle, memory: HDF5Handle) {
        guard start.count == shape.count, count.count == shape.count,
            zip(zip(start, count), shape).allSatisfy({
                $0.0 >= 0 && $0.1 >= 0 && $0.0 <= $1 && $0.1 <= $1 - $0.0
            })
        else {
            throw .invalid(
                path: path, problem: "\(name): \(start) + \(count) is outside its shape \(shape)")
        }
        let file = try HDF5Handle(H5Scopy(space.id), path, name, "read", close: H5Sclose)
        var first = start.map(hsize_t.init)
        var sizes = count.map(hsize_t.init)
        if !shape.isEmpty {
            try check(
                H5Sselect_hyperslab(file.id, H5S_SELECT_SET, &first, nil, &sizes, nil), path, name,
                "select a range of")
        }
        let memory = try HDF5Handle(
            H5Screate_simple(Int32(count.count), &sizes, nil), path, name, close: H5Sclose)
        return (file, memory)
    }

    private var everything: (start: [Int], count: [Int]) {
        ([Int](repeating: 0, count: shape.count), shape)
    }

    // MARK: Numbers

    /// Elements as they are stored.
    package func readStored(
        into out: UnsafeMutableRawPointer, start: [Int], count: [Int]
    ) throws(ActivationError) {
        guard !count.contains(0) else { return }
        let range = try selection(start, count)
        try check(
            H5Dread(id, type.id, range.memory.id, range.file.id, 0, out), path, name, "read")
    }

    package func writeStored(
        _ values: UnsafeRawPointer, start: [Int], count: [Int]
    ) throws(ActivationError) {
        guard !count.contains(0) else { return }
        let range = try selection(start, count)
        try check(
            H5Dwrite(id, type.id, range.memory.id, range.file.id, 0, values), path, name, "write")
    }

    /// Elements as `T`, converted by the library.
    package func read<T: HDF5Scalar>(
        into out: UnsafeMutablePointer<T>, start: [Int], count: [Int]
    ) throws(ActivationError) {
        guard !count.contains(0) else { return }
        let range = try selection(start, count)
        try check(
            H5Dread(id, T.memoryType, range.memory.id, range.file.id, 0, out), path, name, "read")
    }

    package func write<T: HDF5Scalar>(
        _ values: UnsafePointer<T>, start: [Int], count: [Int]
    ) throws(ActivationError) {
        guard !count.contains(0) else { return }
        let range = try selection(start, count)
        try check(
            H5Dwrite(id, T.memoryType, range.memory.id, range.file.id, 0, values), path, name,
            "write")
    }

    /// The whole array.
    package func write<T: HDF5Scalar>(_ values: [T]) throws(ActivationError) {
        precondition(values.count == count)
        let all = everything
        try write(values, start: all.start, count: all.count)
    }

    /// The whole array.
    package func read<T: HDF5Scalar & ExpressibleByIntegerLiteral>(
        as type: T.Type = T.self
    ) throws(ActivationError) -> [T] {
        let all = everything
        let count = try size(of: shape, bytes: MemoryLayout<T>.stride)
        var values = [T](repeating: 0, count: count)
        try read(into: &values, start: all.start, count: all.count)
        return values
    }

    // MARK: Texts

    /// How many bytes of texts of a fixed length are in memory at a time.
    static let textBytes = 1 << 20
    static let endsInNul = "ends_in_nul"

    /// Pieces of a column of values of `size` bytes, each small.
    private func pieces(_ size: Int) -> [Range<Int>] {
        let step = max(1, Self.textBytes / max(1, size))
        return stride(from: 0, to: count, by: step).map { $0..<min(count, $0 + step) }
    }

    package func write(texts: [String], length: Int?) throws(ActivationError) {
        guard !texts.isEmpty else { return }
        var status: herr_t = 0
        if let length {
            for rows in pieces(length) {
                var bytes = [UInt8](repeating: 0, count: rows.count * length)
                for (index, text) in texts[rows].enumerated() {
                    bytes.replaceSubrange(
                        index * length..<index * length + min(length, text.utf8.count),
                        with: text.utf8.prefix(length))
                }
                try writeStored(bytes, start: [rows.lowerBound], count: [rows.count])
            }
        } else {
            // One block of zero-ended strings and pointers into it.
            var bytes: [CChar] = []
            var starts: [Int] = []
            for text in texts {
                starts.append(bytes.count)
                bytes += text.utf8CString
            }
            status = bytes.withUnsafeBufferPointer { buffer in
                let pointers = starts.map { buffer.baseAddress! + $0 }
                return H5Dwrite(id, type.id, 0, 0, 0, pointers)
            }
        }
        try check(status, path, name, "write")
    }

    package func texts() throws(ActivationError) -> [String] {
        guard isText else { throw .invalid(path: path, problem: "\(name) does not hold texts") }
        let count = try size(of: shape, bytes: max(16, elementSize))
        guard count > 0 else { return [] }
        if H5Tis_variable_str(type.id) > 0 {
            var pointers = [UnsafeMutablePointer<CChar>?](repeating: nil, count: count)
            try check(H5Dread(id, type.id, 0, 0, 0, &pointers), path, name, "read")
            let texts = pointers.map { $0.map { String(cString: $0) } ?? "" }
            _ = etd_h5_free_strings(type.id, space.id, &pointers)
            return texts
        }
        let length = elementSize
        guard shape.count == 1 else {
            throw .invalid(path: path, problem: "\(name) is not a list of texts")
        }
        let padding = H5Tget_strpad(type.id)
        var texts: [String] = []
        for rows in pieces(length) {
            var bytes = [UInt8](repeating: 0, count: rows.count * length)
            try readStored(into: &bytes, start: [rows.lowerBound], count: [rows.count])
            for start in stride(from: 0, to: bytes.count, by: length) {
                let text = Self.text(bytes[start..<start + length], padding)
                texts.append(String(decoding: text, as: UTF8.self))
            }
        }
        try restoreEnds(&texts, length: length)
        return texts
    }

    /// What stands before the padding.
    private static func text(
        _ bytes: ArraySlice<UInt8>, _ padding: H5T_str_t
    ) -> ArraySlice<UInt8> {
        guard padding != H5T_STR_NULLTERM else { return bytes.prefix { $0 != 0 } }
        let filler: UInt8 = padding == H5T_STR_SPACEPAD ? 0x20 : 0
        let end = bytes.lastIndex { $0 != filler }.map { $0 + 1 } ?? bytes.startIndex
        return bytes[..<end]
    }

    /// Gives texts the zeros back that they end in.
    private func restoreEnds(_ texts: inout [String], length: Int) throws(ActivationError) {
        guard hasAttribute(Self.endsInNul) else { return }
        let pairs = try values(Self.endsInNul, as: Int64.self)
        for place in stride(from: 0, to: pairs.count, by: 2) {
            guard place + 1 < pairs.count, let row = Int(exactly: pairs[place]),
                texts.indices.contains(row), pairs[place + 1] > 0,
                pairs[place + 1] <= length - texts[row].utf8.count
            else {
                throw .invalid(
                    path: path, problem: "attribute \(Self.endsInNul) of \(name) does not fit it")
            }
            texts[row] += String(repeating: "\0", count: Int(pairs[place + 1]))
        }
    }

    // MARK: Chunks as they are stored

    /// Stores one chunk's bytes, filtered already.
    package func writeChunk(
        at start: [Int], _ bytes: UnsafeRawPointer, count: Int
    ) throws(ActivationError) {
        var offset = start.map(hsize_t.init)
        try check(etd_h5_write_chunk(id, &offset, 0, count, bytes), path, name, "write")
    }

    /// One chunk's bytes, filtered still.
    package func readChunk(at start: [Int]) throws(ActivationError) -> [UInt8] {
        var offset = start.map(hsize_t.init)
        var size: hsize_t = 0
        try check(H5Dget_chunk_storage_size(id, &offset, &size), path, name, "read")
        var bytes = [UInt8](repeating: 0, count: Int(size))
        var filters: UInt32 = 0
        try check(etd_h5_read_chunk(id, &offset, &filters, &bytes), path, name, "read")
        guard filters == 0 else {
            throw .invalid(path: path, problem: "\(name) has a chunk that skips a filter")
        }
        return bytes
    }

    // MARK: Virtual data sets

    /// - Throws: `.invalid` for a file that is named by an absolute path, or above this file's folder.
    private static func sources(
        _ creation: HDF5Handle, path: String, name: String
    ) throws(ActivationError) -> [(file: String, dataSet: String)] {
        var blocks = 0
        try check(H5Pget_virtual_count(creation.id, &blocks), path, name, "read")
        func text(
            _ block: Int, _ get: (hid_t, Int, UnsafeMutablePointer<CChar>?, Int) -> Int
        ) throws(ActivationError) -> String {
            let length = get(creation.id, block, nil, 0)
            guard length >= 0 else {
                throw .hdf5(path: path, place: name, operation: "read", reason: HDF5.reason)
            }
            var buffer = [CChar](repeating: 0, count: length + 1)
            _ = get(creation.id, block, &buffer, length + 1)
            return String(
                decoding: buffer.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
        var sources: [(file: String, dataSet: String)] = []
        for block in 0..<blocks {
            let file = try text(block) { H5Pget_virtual_filename($0, $1, $2, $3) }
            guard
                file.split(separator: "/", omittingEmptySubsequences: false)
                    .allSatisfy({ Paths.isPlainName(String($0)) })
            else {
                throw .invalid(
                    path: path,
                    problem: "\(name) refers to \(file.quotedForMessage), and only files below the "
                        + "dump's own folder count; make the dump again")
            }
            sources.append((file, try text(block) { H5Pget_virtual_dsetname($0, $1, $2, $3) }))
        }
        return sources
    }
}
