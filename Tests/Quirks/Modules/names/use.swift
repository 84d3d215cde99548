func use() -> [Int] {
    let order = Order(a: Order.ItemMessage(id: "a"), b: Item(id: "b"), cs: [Item()], m: ["x": Item()], o: .d(Item()))
    let oneofs = Oneofs(one: .none_p("x"), none: .aNone("y"))
    return [order.encoded().count, oneofs.encoded().count, StringMessage(string: "s").encoded().count]
}
