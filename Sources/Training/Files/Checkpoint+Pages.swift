import Checkpoints
import Foundation

extension Checkpoint {
    /// Gives back the memory of weights that were read: they are the file's own pages, and a training that has
    /// decoded them needs them no more. What is read again comes from the file again.
    public func forgetPages() {
        let page = UInt(sysconf(Int32(_SC_PAGESIZE)))
        for tensor in tensors.values {
            guard let base = tensor.bytes.baseAddress else { continue }
            let start = (UInt(bitPattern: base) + page - 1) / page * page
            let end = (UInt(bitPattern: base) + UInt(tensor.bytes.count)) / page * page
            guard start < end, let place = UnsafeMutableRawPointer(bitPattern: start) else {
                continue
            }
            madvise(place, Int(end - start), MADV_DONTNEED)
        }
    }
}
