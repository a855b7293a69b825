"""Words of Greek, Armenian, Turkish, Hungarian, Finnish and of languages of Asia."""

# ruff: noqa: RUF001  - letters of other scripts are the point

from streaming.splitting.words.shape import Words

GREEK = Words(
    never="""
        κ κα κος κ.κ δρ καθ αγ π.χ πχ δηλ βλ πρβλ ό.π κ.ά.σ μ.χ π.μ.σ αι λεωφ οδ τηλ αρ σελ εκ περ
        χλμ
    """,
    before_number="αρ σελ κεφ εικ πιν τόμ τηλ άρθρ παρ",
    ambiguous="α.ε ε.π.ε ευρ π.μ μ.μ",
    last="κ.λπ κλπ κ.ά κ.α κ.ο.κ κτλ",
    openers="""
        ο η το οι τα τον την τις τους του της των ένας μια μία ένα αυτός αυτή αυτό αυτοί αυτές
        αυτά εγώ εσύ εμείς εσείς σε στο στη στην στον στα στις από με για χωρίς μετά πριν και κι
        αλλά ή όμως αν όταν ενώ επειδή γιατί που πού πώς τι ποιος ποια είναι ήταν έχει έχουν
        μπορεί πρέπει θα να δεν μην ναι όχι εδώ εκεί σήμερα χθες αύριο τώρα όλα όλοι κάθε επίσης
        ωστόσο έτσι
    """,
    connectors="""
        ο η το οι τα τον την τις τους του της των σε στο στη στην από με για και ή να θα δεν που
        ότι
    """,
    months="""
        ιανουαρίου φεβρουαρίου μαρτίου απριλίου μαΐου ιουνίου ιουλίου αυγούστου σεπτεμβρίου
        οκτωβρίου νοεμβρίου δεκεμβρίου
    """,
)

ARMENIAN = Words(
    never="թ թթ դ պրոֆ ակադ տես օր այս.ինքն մ.թ մ.թ.ա փ ք",
    before_number="էջ գլ նկ աղ",
    ambiguous="դր",
    last="և.այլն",
    openers="""
        այս այդ այն նա նրանք մենք դուք ես դու և բայց եթե երբ որովհետև իսկ նաև ապա որտեղ ինչ ինչպես
    """,
    connectors="և կամ բայց որ է են",
    months="հունվարի փետրվարի մարտի ապրիլի մայիսի հունիսի հուլիսի օգոստոսի",
)

TURKISH = Words(
    never="dr prof doç yrd av sn örn vb.s bkz çev haz ed yy hz m.ö m.s cad sok mah apt alb yzb gn",
    before_number="no s sf ss cilt tel",
    ambiguous="a.ş ltd şti t.c",
    last="vb vs vd vesaire",
    openers="""
        bu şu o bunlar onlar ben sen biz siz bir her bazı tüm çok ve ama fakat ancak veya eğer
        çünkü için gibi sonra önce şimdi bugün dün yarın burada orada nasıl ne kim nerede neden
        hangi evet hayır ayrıca
    """,
    connectors="ve veya ile için gibi bir bu şu de da ki",
    months="ocak şubat mart nisan mayıs haziran temmuz ağustos eylül ekim kasım aralık",
    has_ordinals=True,
)

HUNGARIAN = Words(
    never="dr prof ifj id özv kb pl ún ill szt st u ui vö ld tel ford szerk jr max min",
    before_number="sz o old fej ábra tel",
    ambiguous="kft zrt bt rt ft",
    last="stb",
    openers="""
        a az egy ez ezek azok ő ők mi ti én te és de vagy ha amikor mert hogy mivel ezért azonban
        tehát is itt ott most ma tegnap holnap hogyan mit ki hol miért melyik van volt lesz nem
        igen minden sok néhány
    """,
    connectors="a az egy és vagy de hogy nem is",
    months="""
        január február március április május június július augusztus szeptember október november
        december januári század században
    """,
    has_ordinals=True,
)

FINNISH = Words(
    never="prof tri esim ts ns eli.s mm.s ym.s n noin nk toim huom vrt ks os puh synt k",
    before_number="nro s ks luku kuva puh klo n",
    ambiguous="oy ab oyj milj mrd",
    last="jne ym yms",
    openers="""
        se ne tämä nämä tuo hän he me te minä sinä ja mutta tai jos kun koska vaikka siksi
        kuitenkin myös siis sitten tässä siellä täällä nyt tänään eilen huomenna miten mitä mikä
        kuka missä miksi on oli ovat voi ei kyllä kaikki jokainen monet
    """,
    connectors="ja tai mutta että on ei kun jos",
    months="""
        tammikuuta helmikuuta maaliskuuta huhtikuuta toukokuuta kesäkuuta heinäkuuta elokuuta
        syyskuuta lokakuuta marraskuuta joulukuuta
    """,
    has_ordinals=True,
)

HINDI = Words(never="डॉ श्री प्रो पं कु सु मो रु कि.मी ई.पू स्व डा")

MARATHI = Words(never="डॉ श्री प्रा पं कु सौ रु कि.मी इ.स इ डा")

BENGALI = Words(never="ড ডা ডঃ মো মোঃ অধ্যাপক কি.মি রা প্রফ")

TAMIL = Words(never="திரு திருமதி செல்வி டாக்டர் முனைவர் பேரா கி.மீ ரூ கி.பி கி.மு")

GEORGIAN = Words(
    never="გვ ე.ი ე.წ მაგ დ ბ-ნი ქ-ნი პროფ აკად ქ წ წწ ს შ.პ.ს თ ა.წ.წ",
    last="ა.შ",
)

VIETNAMESE = Words(
    never="ts ths gs pgs bs ks cn tp tx tt q p đ kp ubnd gs.ts pgs.ts ths.bs tr sđt nxb vd",
    before_number="số tr đt tel",
    ambiguous="cty tnhh",
    last="v.v vv",
    openers="""
        tôi bạn anh chị em ông bà cô chú họ chúng nó ta mình đây đó này kia các những một mỗi mọi
        nhiều vài và nhưng hoặc hay vì nên nếu khi sau trước trong ngoài trên dưới tại ở từ đến
        với cho theo để bởi do tuy mặc ngoài cũng rồi thì vậy như hãy đừng có không chưa đã đang
        sẽ là ai gì sao bao tại làm thế cảm xin vâng dạ bây hôm ngày năm cuối đầu
    """,
    connectors="và hoặc của cho với trong là các những một để từ đến mà thì",
)

INDONESIAN = Words(
    never="jl jln bpk yth sdr sdri prof dr drs ir h hj kh a.n d.a u.p s.d tgl hlm kec kab prov",
    before_number="no hlm rp tel telp pasal",
    ambiguous="pt cv tbk s.h s.e s.pd m.m",
    last="dll dsb dst dkk",
    openers="""
        saya aku kamu anda dia ia mereka kami kita ini itu yang di ke dari pada dalam untuk dengan
        oleh karena jika kalau bila ketika saat setelah sebelum sementara meskipun walaupun dan
        atau tetapi tapi namun jadi maka sehingga agar supaya apa siapa kapan mengapa kenapa
        bagaimana berapa ada adalah tidak bukan belum sudah akan bisa dapat harus boleh semua
        setiap banyak beberapa selain juga lalu kemudian sekarang kemarin besok hari tolong silakan
        terima ya
    """,
    connectors="yang di ke dari pada untuk dengan dan atau oleh adalah akan",
    months="januari februari maret mei juni juli agustus oktober desember",
)
